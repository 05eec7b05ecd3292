#pragma once
// SQuAD's measures (Rajpurkar et al. 2016): words in small letters, without ASCII punctuation and without a, an, the.
#include <string>
#include <string_view>
#include <vector>

#include <common/metrics/overlap.hpp>
#include <common/metrics/words.hpp>
#include <reference_model/text/unicode.hpp>

namespace programs {

inline std::vector<std::string> squad_words(std::string_view text) {
  std::string bare;
  for (char const c : reference_model::lowered(text)) {
    bool const punctuation =
        (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    if (!punctuation) bare += c;
  }
  std::vector<std::string> words = words_of(bare);
  std::erase_if(words, [](std::string const& w) { return w == "a" || w == "an" || w == "the"; });
  return words;
}

// 1 or 0: the same words in the same order.
inline double squad_match(std::string_view prediction, std::string_view answer) {
  return squad_words(prediction) == squad_words(answer) ? 1 : 0;
}

// F1 of the words, in any order. 1 where neither has a word.
inline double token_f1(std::string_view prediction, std::string_view answer) {
  auto const p = squad_words(prediction), a = squad_words(answer);
  if (p.empty() && a.empty()) return 1;
  return overlap_of(common_items(counted(p), counted(a)), p.size(), a.size()).f1();
}

}  // namespace programs
