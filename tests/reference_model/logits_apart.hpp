#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <doctest/doctest.h>

namespace tiny {

/// The largest difference of logits [tokens, vocab], by the largest logit of its token; NaN where there is one.
inline float apart(std::vector<std::vector<float>> const& got, std::vector<std::vector<float>> const& want) {
  REQUIRE(got.size() == want.size());
  float worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    float most = 0;
    for (float const x : want[i]) most = std::max(most, std::fabs(x));
    for (std::size_t j = 0; j < want[i].size(); ++j) {
      float const difference = std::fabs(got[i][j] - want[i][j]) / most;
      if (std::isnan(difference)) return difference;
      worst = std::max(worst, difference);
    }
  }
  return worst;
}

}  // namespace tiny
