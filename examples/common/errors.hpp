#pragma once
// How every program ends: status 0, or 2 with one line on standard error.
#include <cstdio>
#include <exception>
#include <new>
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
