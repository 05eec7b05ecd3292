#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace reference_model {

/// The first `most` bytes of UTF-8 text at most, no character cut in two, and dots if something is missing.
inline std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most - 4;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + " ...";
}

/// Thrown for a file that cannot be used. what() is one line: file, field, its value, the limit, the remedy.
/// Nothing has been loaded or written when it is thrown.
class bad_file : public std::runtime_error {
 public:
  bad_file(std::string_view file, std::string_view problem)
      : std::runtime_error(one_line(std::string(file) + ": " + std::string(problem))) {}

 private:
  static constexpr std::size_t longest = 600;

  // Names inside a file are the file's own text: no control character may break the line, and no name may flood it.
  static std::string one_line(std::string line) {
    line = shortened(std::move(line), longest);
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return line;
  }
};

}  // namespace reference_model
