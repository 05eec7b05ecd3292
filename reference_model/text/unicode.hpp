#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace reference_model {

/// Whether what follows is there: it needs ICU, which only unicode.cpp includes. Without it each throws bad_file.
bool has_unicode();

/// Bytes [begin, end) of a text.
struct byte_range {
  std::size_t begin, end;
  bool operator==(byte_range const&) const = default;
};

/// A regular expression over characters. A byte that is not part of valid UTF-8 counts as one character, U+FFFD.
class text_pattern {
 public:
  /// Only the constructs that Oniguruma and ICU read alike are taken (see split_syntax.hpp): tokenizers are trained
  /// with the one and run here by the other. `where` names file and field in messages. Throws bad_file.
  text_pattern(std::string const& file, std::string const& where, std::string const& pattern);

  /// The matches in `text`, from left to right; empty ones are left out. Throws bad_file for a pattern that
  /// backtracks for too long.
  std::vector<byte_range> matches(std::string_view text) const;

 private:
  struct compiled;
  std::shared_ptr<compiled const> compiled_;
  std::string file_, where_;
};

/// The text in normal form C. Bytes that are not part of valid UTF-8 stay as they are.
std::string composed(std::string_view text, std::string const& file);

/// Whether the character is one of Unicode's numbers (general category N).
bool is_number(char32_t character);

/// The text in small letters, of every script. Never throws: without ICU the letters A to Z only. Bytes that are not part
/// of valid UTF-8 become U+FFFD.
std::string lowered(std::string_view text);

}  // namespace reference_model
