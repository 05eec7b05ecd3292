#pragma once
// METEOR (Lavie and Agarwal 2007) with its modules exact and stem, as NLTK computes it without synonyms: words of
// tokenizer 13a in small letters, alpha 0.9, beta 3, gamma 0.5.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/metrics/bleu.hpp>
#include <common/metrics/porter_stemmer.hpp>
#include <reference_model/text/unicode.hpp>

namespace programs {

inline double meteor(std::string_view prediction, std::string_view answer, bool stems = true) {
  auto const predicted = words_13a(reference_model::lowered(prediction));
  auto const wanted = words_13a(reference_model::lowered(answer));
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  std::vector<bool> used(predicted.size()), taken(wanted.size());
  // From the back, each word with the last one like it that is free.
  auto const align = [&](auto alike) {
    for (std::size_t i = predicted.size(); i-- > 0;) {
      if (used[i]) continue;
      for (std::size_t j = wanted.size(); j-- > 0;) {
        if (taken[j] || !alike(predicted[i], wanted[j])) continue;
        used[i] = taken[j] = true;
        pairs.emplace_back(i, j);
        break;
      }
    }
  };
  align([](std::string const& a, std::string const& b) { return a == b; });
  if (stems) align([](std::string const& a, std::string const& b) { return porter_stem(a) == porter_stem(b); });
  if (pairs.empty()) return 0;
  std::sort(pairs.begin(), pairs.end());
  std::size_t chunks = 1;  // runs that are side by side in both
  for (std::size_t k = 1; k < pairs.size(); ++k)
    if (pairs[k].first != pairs[k - 1].first + 1 || pairs[k].second != pairs[k - 1].second + 1) ++chunks;
  auto const matched = static_cast<double>(pairs.size());
  double const precision = matched / static_cast<double>(predicted.size());
  double const recall = matched / static_cast<double>(wanted.size());
  double const mean = precision * recall / (0.9 * precision + 0.1 * recall);
  return mean * (1 - 0.5 * std::pow(static_cast<double>(chunks) / matched, 3));
}

}  // namespace programs
