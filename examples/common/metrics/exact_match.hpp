#pragma once
// Whether prediction and answer are the same words, as they stand.
#include <string_view>

#include <common/metrics/words.hpp>

namespace programs {

// 1 or 0. White space does not count.
inline double exact_match(std::string_view prediction, std::string_view answer) {
  return words_of(prediction) == words_of(answer) ? 1 : 0;
}

}  // namespace programs
