#include <common/arguments.hpp>

#include <CLI/CLI.hpp>

namespace programs {

namespace {

// Digits only, and no more than 10^18.
CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& given) {
        bool const digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
        if (digits && given.size() > 18) return "'" + given + "' is too large; give at most 18 digits";
        return digits ? std::string() : "'" + given + "' is no whole number; give digits only";
      },
      "");
}

}  // namespace

option option::required() const { return option(*option_->required()); }
option option::shows_default() const { return option(*option_->capture_default_str()); }
option option::separated_by_commas() const { return option(*option_->delimiter(',')); }
option option::excludes(option other) const { return option(*option_->excludes(other.option_)); }
option option::needs(option other) const { return option(*option_->needs(other.option_)); }

command_line::command_line(std::string const& description) : app_(std::make_unique<CLI::App>(description)) {}
command_line::~command_line() = default;

option command_line::add(std::string const& name, std::string& target, std::string const& help) {
  return option(*app_->add_option(name, target, help));
}
option command_line::add(std::string const& name, std::vector<std::string>& target, std::string const& help) {
  bool const positional = name.front() != '-';  // takes all that is left; an option takes one a time
  return option(*app_->add_option(name, target, help)->allow_extra_args(positional));
}
option command_line::add(std::string const& name, std::uint32_t& target, std::string const& help) {
  return option(*app_->add_option(name, target, help)->check(whole_number()));
}
option command_line::add(std::string const& name, std::uint64_t& target, std::string const& help) {
  return option(*app_->add_option(name, target, help)->check(whole_number()));
}
option command_line::add(std::string const& name, std::optional<std::uint64_t>& target, std::string const& help) {
  return option(*app_->add_option(name, target, help)->check(whole_number()));
}
option command_line::add(std::string const& name, double& target, std::string const& help) {
  return option(*app_->add_option(name, target, help));
}
option command_line::add(std::string const& name, bool& target, std::string const& help) {
  return option(*app_->add_flag(name, target, help));
}

option command_line::add(std::string const& name, std::uint32_t& target, number_range within, std::string const& help) {
  return option(*app_->add_option(name, target, help)->check(CLI::Range(within.least, within.most)));
}
option command_line::add(std::string const& name, std::vector<std::uint32_t>& target, number_range within,
                         std::string const& help) {
  return option(*app_->add_option(name, target, help)->delimiter(',')->check(CLI::Range(within.least, within.most)));
}

void command_line::help_column(std::size_t column) { app_->get_formatter()->column_width(column); }
void command_line::example(std::string const& example) { app_->footer("Example:\n  " + example); }

std::optional<int> command_line::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (CLI::Success const& done) {
    return app_->exit(done);
  } catch (CLI::ExtrasError const&) {
    std::string all;
    for (std::string const& one : app_->remaining()) all += (all.empty() ? "'" : " '") + one + "'";
    throw usage_error(all + (app_->remaining().size() == 1 ? " is no option; see --help" : " are no options; see --help"));
  } catch (CLI::ParseError const& wrong) {
    throw usage_error(one_line(wrong.what()) + "; see --help");
  }
  for (CLI::Option const* const option : app_->get_options()) {
    for (std::string const& value : option->results()) {
      if (value.empty()) throw usage_error(option->get_name() + " is empty; give a value");
    }
  }
  return std::nullopt;
}

}  // namespace programs
