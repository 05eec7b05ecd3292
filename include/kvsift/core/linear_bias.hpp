#pragma once

#include <cmath>
#include <cstdint>

#include <kvsift/core/check.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// Attention with linear biases (ALiBi, arXiv 2108.12409): a key that stands n places before the query loses slope x n of its logit.
/// With P the largest power of two up to the number of query heads,
///
///   slope of head h = 2^(-steepness (h + 1) / P)             of the first P
///                     2^(-steepness (2 (h - P) + 1) / (2 P))  of those after them
struct linear_bias {
  double steepness = 0;  ///< as published 8; 0: no bias

  KVSIFT_HOST_DEVICE constexpr bool none() const { return steepness == 0; }
  KVSIFT_HOST_DEVICE float slope(std::uint32_t head, std::uint32_t query_heads) const {
    std::uint32_t power = 1;
    while (power <= query_heads / 2) power *= 2;
    double const exponent = head < power ? (head + 1.0) / power : (2.0 * (head - power) + 1) / (2.0 * power);
    return static_cast<float>(std::exp2(-steepness * exponent));
  }
  friend constexpr bool operator==(linear_bias const&, linear_bias const&) = default;
};

/// Throws bad_argument unless it is a bias.
inline void check(linear_bias const& b) {
  require(b.steepness >= 0 && b.steepness <= 1e3, "steepness", b.steepness, "give a number up to 1000, such as the published 8, or 0 for no bias");
}

}  // namespace kvsift
