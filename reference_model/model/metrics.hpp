#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace reference_model {

/// -log softmax(logits [vocab])[token], summed in double.
inline double negative_log_likelihood(float const* logits, std::uint32_t vocab, std::uint32_t token) {
  double const highest = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (std::uint32_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i]) - highest);
  return highest + std::log(sum) - static_cast<double>(logits[token]);
}

}  // namespace reference_model
