#pragma once
// ROUGE (Lin 2004) as rouge-score computes it: words are runs of a-z and 0-9 in small letters, everything else parts
// them.
#include <algorithm>
#include <cstddef>
#include <map>
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

// ROUGE-Lsum: lines are sentences. A word of the answer counts if it is in the longest common list of its line and any
// line of the prediction, and no more often than the prediction has it.
inline overlap rouge_lsum(std::string_view prediction, std::string_view answer, bool stems = false) {
  auto const lines = [&](std::string_view text) {
    std::vector<std::vector<std::string>> all;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const end = std::min(text.find('\n', at), text.size());
      if (end > at) all.push_back(rouge_words(text.substr(at, end - at), stems));
      at = end + 1;
    }
    return all;
  };
  auto const predicted = lines(prediction), wanted = lines(answer);
  std::map<std::string, std::size_t> left_p, left_a;
  std::size_t words_p = 0, words_a = 0, hits = 0;
  for (auto const& line : predicted)
    for (std::string const& word : line) ++left_p[word], ++words_p;
  for (auto const& line : wanted)
    for (std::string const& word : line) ++left_a[word], ++words_a;
  for (auto const& a : wanted) {
    std::vector<bool> in_any(a.size(), false);
    for (auto const& p : predicted) {
      std::vector<std::vector<std::size_t>> length(a.size() + 1, std::vector<std::size_t>(p.size() + 1, 0));
      for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < p.size(); ++j)
          length[i + 1][j + 1] = a[i] == p[j] ? length[i][j] + 1 : std::max(length[i][j + 1], length[i + 1][j]);
      for (std::size_t i = a.size(), j = p.size(); i > 0 && j > 0;) {
        if (a[i - 1] == p[j - 1]) {
          in_any[--i] = true;
          --j;
        } else if (length[i][j - 1] > length[i - 1][j]) {
          --j;
        } else {
          --i;
        }
      }
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!in_any[i] || left_p[a[i]] == 0 || left_a[a[i]] == 0) continue;
      --left_p[a[i]];
      --left_a[a[i]];
      ++hits;
    }
  }
  return overlap_of(hits, words_p, words_a);
}

}  // namespace programs
