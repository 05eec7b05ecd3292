#pragma once
// How much of a text is made of words that exist, as KV-Align judges what a model writes without end.
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <common/metrics/bleu.hpp>
#include <common/metrics/porter_stemmer.hpp>
#include <common/metrics/words.hpp>
#include <reference_model/text/unicode.hpp>

namespace programs {

// The words of a list, a line each, in small letters.
using known_words = std::set<std::string, std::less<>>;

inline known_words words_of_list(std::string_view text) {
  known_words known;
  for (std::string& word : words_of(reference_model::lowered(text))) known.insert(std::move(word));
  return known;
}

// Runs of ten words, and those of them in which at least five are known: the word or its stem is in the list, or it is one of
// . , ! ?. Words are tokenizer 13a's in small letters; what is left at the end, less than ten, does not count.
struct readability {
  std::size_t chunks = 0, readable = 0;
  double share() const { return chunks == 0 ? 0 : static_cast<double>(readable) / static_cast<double>(chunks); }
};

inline readability readability_of(std::string_view text, known_words const& known) {
  constexpr std::size_t chunk = 10, enough = 5;
  auto const words = words_13a(reference_model::lowered(text));
  readability r;
  for (std::size_t begin = 0; begin + chunk <= words.size(); begin += chunk) {
    std::size_t valid = 0;
    for (std::size_t i = begin; i < begin + chunk; ++i) {
      std::string const& w = words[i];
      valid += known.contains(w) || known.contains(porter_stem(w)) || w == "." || w == "," || w == "!" || w == "?" ? 1u : 0u;
    }
    ++r.chunks;
    r.readable += valid >= enough ? 1u : 0u;
  }
  return r;
}

}  // namespace programs
