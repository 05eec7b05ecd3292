#pragma once
// A text as words and as characters, the way the metrics count them.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <reference_model/text/characters.hpp>

namespace programs {

// Unicode's white space, and the four separators U+001C to U+001F, between which Python splits as well.
inline bool separates_words(char32_t c) { return reference_model::is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

// What stands between white space.
inline std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= text.size();) {
    bool const end = at == text.size();
    auto const c = end ? reference_model::character{U' ', 1, true} : reference_model::character_at(text, at);
    if (separates_words(c.code)) {
      if (at > begin) words.emplace_back(text.substr(begin, at - begin));
      begin = at + c.bytes;
    }
    at += c.bytes;
  }
  return words;
}

inline std::u32string characters_of(std::string_view text) {
  std::u32string all;
  for (std::size_t at = 0; at < text.size();) {
    auto const c = reference_model::character_at(text, at);
    all += c.code;
    at += c.bytes;
  }
  return all;
}

// The text with U+FFFD for what is no UTF-8.
inline std::string valid_text(std::string_view text) {
  std::string valid;
  for (char32_t const c : characters_of(text)) reference_model::append_character(valid, c);
  return valid;
}

inline std::string joined(std::vector<std::string> const& words) {
  std::string text;
  for (std::string const& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// The text without white space at its ends.
inline std::string_view stripped(std::string_view text) {
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    auto const c = reference_model::character_at(text, at);
    if (!separates_words(c.code)) {
      if (begin > at) begin = at;
      end = at + c.bytes;
    }
    at += c.bytes;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view{};
}

}  // namespace programs
