#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvsift {

/// Whole numbers in place of the shares x, summing to exactly `total`, which is what x sums to: the whole parts, and the
/// units still missing go one each to the largest remainders, the lower index first among equals. Shares are taken to a
/// millionth, so that rounding in their computation decides nothing. No result exceeds `most`. Host only, O(n log n).
inline std::vector<std::uint32_t> largest_remainders(std::vector<double> const& x, std::uint64_t total, std::uint32_t most = 0xffffffffu) {
  constexpr std::uint64_t million = 1000000;
  std::vector<std::uint32_t> whole;
  std::vector<std::uint64_t> rest;
  std::vector<std::size_t> order;
  std::uint64_t given = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto const parts = static_cast<std::uint64_t>(std::llround(std::max(x[i], 0.0) * static_cast<double>(million)));
    whole.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(parts / million, most)));
    rest.push_back(parts % million);
    order.push_back(i);
    given += whole.back();
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rest[a] > rest[b]; });
  bool gave = true;
  while (given < total && gave) {
    gave = false;
    for (std::size_t const i : order) {
      if (given == total) break;
      if (whole[i] == most) continue;
      ++whole[i];
      ++given;
      gave = true;
    }
  }
  return whole;
}

/// Splits `total` among weights: everyone gets `base`, the rest goes in proportion to the weights, and nobody more than
/// `most`. What a bound cuts off flows on to those below it, as water does, until all is spent or everyone is full. The
/// result sums to min(total, n x most); without any weight left the rest is split evenly. Needs base <= most and
/// n x base <= total; negative weights count as 0. Host only, O(n^2) at worst.
inline std::vector<std::uint32_t> apportion(std::vector<double> const& weights, std::uint64_t total, double base = 0,
                                            std::uint32_t most = 0xffffffffu) {
  std::size_t const n = weights.size();
  std::uint64_t const room = std::uint64_t{most} * n;
  if (total >= room) return std::vector<std::uint32_t>(n, most);
  std::vector<double> shares(n, base);
  std::vector<bool> full(n, false);
  for (bool changed = true; changed;) {
    changed = false;
    double pool = static_cast<double>(total), sum = 0;
    std::size_t open = 0;
    for (std::size_t i = 0; i < n; ++i) {
      pool -= full[i] ? most : base;
      if (full[i]) continue;
      sum += std::max(weights[i], 0.0);
      ++open;
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (full[i]) continue;
      shares[i] = base + (sum > 0 ? std::max(weights[i], 0.0) / sum : 1.0 / static_cast<double>(open)) * pool;
      if (shares[i] <= most) continue;
      shares[i] = most;
      full[i] = changed = true;
    }
  }
  return largest_remainders(shares, total, most);
}

}  // namespace kvsift
