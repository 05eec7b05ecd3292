#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include <reference_model/text/characters.hpp>

namespace reference_model {

/// What of a regular expression is not taken, "" if all of it is. Tokenizers are trained with Oniguruma and run here by
/// ICU, so only what both read alike may stand in a pattern: characters, classes of characters, \p{...}, \s, \d,
/// groups,
/// (?i:...) around plain characters, lookahead, alternatives and repetition. Not . ^ $ \w, nor classes within classes.
class split_syntax {
 public:
  static std::string refused(std::string_view pattern) { return split_syntax(pattern).walk(); }

 private:
  explicit split_syntax(std::string_view pattern) : pattern_(pattern) {}

  bool follows(std::string_view what) const { return pattern_.substr(at_, what.size()) == what; }
  std::string from(std::size_t begin) const {
    return std::string(pattern_.substr(begin, std::max<std::size_t>(at_ - begin, 1)));
  }

  std::string walk() {
    if (pattern_.find('\0') != std::string_view::npos) return "the character NUL";
    while (at_ < pattern_.size()) {
      std::size_t const begin = at_;
      bool taken = true;
      switch (pattern_[at_]) {
        case '\\':
          taken = escape();
          break;
        case '[':
          taken = character_class();
          break;
        case '(':
          taken = open_group();
          break;
        case ')':
          ++at_;
          if (insensitive_ > 0) --insensitive_;
          break;
        case '|':
          ++at_;
          break;
        case '*':
        case '+':
        case '?':
        case '{':
          taken = repetition();
          break;
        case '.':
        case '^':
        case '$':
        case ']':
          ++at_, taken = false;
          break;
        default:
          at_ += character_at(pattern_, at_).bytes;
      }
      if (!taken) return from(begin);
    }
    return "";
  }

  // \p{L}, \s, \n, \[ and the like.
  bool escape() {
    ++at_;
    if (at_ == pattern_.size()) return false;
    char const c = pattern_[at_++];
    if (c == 'r' || c == 'n' || c == 't') return true;
    if (c == 's' || c == 'S' || c == 'd' || c == 'D') return insensitive_ == 0;
    if (c != 'p' && c != 'P')
      return std::string_view("\\/()[]{}|*+?.^$-'\"!#%&,:;<=>@_`~ ").find(c) != std::string_view::npos;
    std::size_t const end = pattern_.find('}', at_);
    if (!follows("{") || end == std::string_view::npos) return false;
    std::string_view const name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    constexpr std::string_view known[] = {
        "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn",  "Mc",       "Me",       "N",      "Nd",   "Nl",     "No",
        "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",  "S",        "Sm",       "Sc",     "Sk",   "So",     "Z",
        "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Han", "Hiragana", "Katakana", "Hangul", "Thai", "Arabic", "Latin"};
    return insensitive_ == 0 && std::find(std::begin(known), std::end(known), name) != std::end(known);
  }

  bool character_class() {
    if (insensitive_ > 0) return ++at_, false;
    ++at_;
    if (follows("^")) ++at_;
    if (follows("]")) return ++at_, false;
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '\\') {
        if (!escape()) return false;
        continue;
      }
      if (pattern_[at_] == '[') return ++at_, false;
      if (follows("&&") || follows("--")) return at_ += 2, false;
      at_ += character_at(pattern_, at_).bytes;
    }
    ++at_;
    return at_ <= pattern_.size();
  }

  bool open_group() {
    if (insensitive_ > 0) ++insensitive_;
    for (std::string_view const kind : {"(?:", "(?=", "(?!"})
      if (follows(kind)) return at_ += kind.size(), true;
    if (follows("(?i:")) {
      at_ += 4;
      if (insensitive_ == 0) insensitive_ = 1;
      return true;
    }
    ++at_;
    if (!follows("?") && !follows("*")) return true;  // a plain group
    return at_ = std::min(at_ + 2, pattern_.size()), false;
  }

  // * + ?, lazy or possessive, and {1,3}, which is neither.
  bool repetition() {
    auto const is_digit = [&] { return at_ < pattern_.size() && pattern_[at_] >= '0' && pattern_[at_] <= '9'; };
    if (pattern_[at_] != '{') {
      ++at_;
      if (follows("?") || follows("+")) ++at_;
    } else {
      ++at_;
      std::size_t const begin = at_;
      while (is_digit()) ++at_;
      bool const counted = at_ > begin;
      if (follows(",")) ++at_;
      while (is_digit()) ++at_;
      if (!counted || !follows("}")) return false;
      ++at_;
    }
    return !(follows("*") || follows("+") || follows("?") || follows("{")) || (at_ += 1, false);
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  int insensitive_ = 0;  // groups that are open, counted from the (?i: on
};

}  // namespace reference_model
