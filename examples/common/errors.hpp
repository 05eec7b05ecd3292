#pragma once
// How every program ends: status 0, or 2 with one line on standard error.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace programs {

// Something the caller can put right: an argument, a file, a combination. The message names it, its value and the remedy.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// `text` with line ends as spaces and other control bytes as \xNN, so that a message stays one line whatever it quotes.
inline std::string one_line(std::string_view text) {
  std::string line;
  for (char const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(byte));
      line += escaped;
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

// For options that count: digits only, so that -3 is refused instead of wrapping around.
inline CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& given) {
        bool const digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
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

// Runs `body` and turns whatever it throws into one line "program: what" and status 2.
template <class Body>
int run_main(char const* program, Body body) {
  std::string message;
  try {
    return body();
  } catch (std::bad_alloc const&) {
    message = "not enough memory; give a smaller --budget, --tokens or --length";
  } catch (std::exception const& wrong) {
    message = one_line(wrong.what());
  }
  std::fprintf(stderr, "%s: %s\n", program, message.c_str());
  return 2;
}

}  // namespace programs
