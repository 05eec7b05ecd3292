#pragma once
// Where a mean lies, with 95 % confidence: by Wilson for shares (scores of 0 and 1), by Student's t for other scores.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <common/confidence.hpp>

namespace programs {

struct interval {
  double low = std::numeric_limits<double>::quiet_NaN(), high = low;  // NaN: cannot be told
};

// `share` of `n` independent trials came out as 1.
inline interval wilson_interval(double share, std::size_t n) {
  if (n == 0) return {};
  double const z = 1.959963984540054, count = static_cast<double>(n), w = z * z / count;
  double const middle = (share + w / 2) / (1 + w);
  double const half = z / (1 + w) * std::sqrt(share * (1 - share) / count + w / (4 * count));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

// `error`: the standard error of a mean of `n` values. Unknown of fewer than two.
inline interval t_interval(double mean, double error, std::size_t n) {
  if (n < 2) return {};
  double const half = student_quantile(0.975, n - 1) * error;
  return {mean - half, mean + half};
}

}  // namespace programs
