#pragma once
// The command line: what CLI11 refuses becomes a usage_error.
#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include <common/errors.hpp>

namespace programs {

// For options that count: digits only and no more than 10^18, so that -3 and what overflows are refused instead of wrapping.
inline CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& given) {
        bool const digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
        if (digits && given.size() > 18) return "'" + given + "' is too large; give at most 18 digits";
        return digits ? std::string() : "'" + given + "' is no whole number; give digits only";
      },
      "");
}

// Parses the command line. A status is returned when the program is done already (--help); what is wrong becomes a usage_error.
inline std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (CLI::Success const& done) {
    return app.exit(done);
  } catch (CLI::ParseError const& wrong) {
    throw usage_error(one_line(wrong.what()) + "; see --help");
  }
  for (CLI::Option const* const option : app.get_options()) {
    for (std::string const& value : option->results()) {
      if (value.empty()) throw usage_error(option->get_name() + " is empty; give a value");
    }
  }
  return std::nullopt;
}

}  // namespace programs
