#pragma once
// ROUGE (Lin 2004) as rouge-score computes it: words are runs of a-z and 0-9 in small letters, everything else parts them.
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <common/metrics/overlap.hpp>
#include <common/metrics/porter_stemmer.hpp>
#include <reference_model/text/unicode.hpp>

namespace programs {

// With `stems`, words of four letters and more are stemmed.
inline std::vector<std::string> rouge_words(std::string_view text, bool stems) {
  std::vector<std::string> words;
  std::string word;
  auto const end = [&] {
    if (!word.empty()) words.push_back(stems && word.size() > 3 ? porter_stem(word) : word);
    word.clear();
  };
  for (char const c : reference_model::lowered(text)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      word += c;
    else
      end();
  }
  end();
  return words;
}

// ROUGE-n.
inline overlap rouge_n(std::size_t n, std::string_view prediction, std::string_view answer, bool stems = false) {
  auto const p = ngrams(rouge_words(prediction, stems), n), a = ngrams(rouge_words(answer, stems), n);
  return overlap_of(common_items(counted(p), counted(a)), p.size(), a.size());
}

// Length of the longest list that is in both, in order but with gaps. O(a b) time, O(b) memory.
template <class List>
std::size_t longest_common(List const& a, List const& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (auto const& item : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t const above = row[j + 1];
      row[j + 1] = item == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

// ROUGE-L, of the whole texts.
inline overlap rouge_l(std::string_view prediction, std::string_view answer, bool stems = false) {
  auto const p = rouge_words(prediction, stems), a = rouge_words(answer, stems);
  return overlap_of(longest_common(p, a), p.size(), a.size());
}

}  // namespace programs
