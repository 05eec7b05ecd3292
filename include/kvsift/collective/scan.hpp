#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// x[i] becomes value(0) + ... + value(i), for i < n < 2^31; value may read x[i]. No scratch: each thread adds up a stretch of its own, then
/// what the stretches before it came to. O(n / threads + threads) a thread, four barriers.
template <cooperative_group G, class Value>
KVSIFT_HOST_DEVICE void inclusive_scan(G const& g, Value const& value, std::uint32_t* x, std::uint32_t n) {
  std::uint32_t const stretch = n / g.num_threads() + 1, first = g.thread_rank() * stretch;
  std::uint32_t const begin = first < n ? first : n, end = n - begin < stretch ? n : begin + stretch;
  g.sync();
  for (std::uint32_t i = begin, sum = 0; i < end; ++i) {
    sum += value(i);
    x[i] = sum;
  }
  g.sync();
  if (g.num_threads() == 1) return;
  std::uint32_t before = 0;
  for (std::uint32_t other = stretch; other <= begin; other += stretch) before += x[other - 1];
  g.sync();
  for (std::uint32_t i = begin; i < end; ++i) x[i] += before;
  g.sync();
}

}  // namespace kvsift
