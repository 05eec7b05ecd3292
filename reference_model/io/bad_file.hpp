#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace reference_model {

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
    if (line.size() > longest) line = line.substr(0, longest - 4) + " ...";
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return line;
  }
};

}  // namespace reference_model
