#pragma once
// Where a mean lies, with 95 % confidence: by Wilson for shares (scores of 0 and 1), by Student's t for other scores.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

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

// The 97.5 % point of Student's t with `freedom` >= 1 degrees: exact for 1 and 2, else by Cornish and Fisher's
// expansion (within 0.3 % from 3 on).
inline double student_t(std::size_t freedom) {
  if (freedom <= 1) return 12.706204736432095;
  if (freedom == 2) return 4.302652729911275;
  double const z = 1.959963984540054, v = static_cast<double>(freedom), z2 = z * z;
  double const g1 = z * (z2 + 1) / 4, g2 = z * ((5 * z2 + 16) * z2 + 3) / 96,
               g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
               g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v;
}

// `error`: the standard error of a mean of `n` values. Unknown of fewer than two.
inline interval t_interval(double mean, double error, std::size_t n) {
  if (n < 2) return {};
  double const half = student_t(n - 1) * error;
  return {mean - half, mean + half};
}

}  // namespace programs
