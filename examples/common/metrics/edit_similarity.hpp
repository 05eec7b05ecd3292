#pragma once
// How little has to be inserted and deleted to turn one text into the other.
#include <string_view>

#include <common/metrics/rouge.hpp>
#include <common/metrics/words.hpp>

namespace programs {

// 1 - (insertions + deletions) / (characters of both), which is the Levenshtein ratio of code tasks. 1 for two empty
// texts.
inline double edit_similarity(std::string_view prediction, std::string_view answer) {
  auto const p = characters_of(prediction), a = characters_of(answer);
  if (p.empty() && a.empty()) return 1;
  return 2 * static_cast<double>(longest_common(p, a)) / static_cast<double>(p.size() + a.size());
}

}  // namespace programs
