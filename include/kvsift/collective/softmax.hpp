#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/collective/reduce.hpp>

namespace kvsift {

namespace detail {

/// The highest of this thread's share of x [n], or x[0].
template <cooperative_group G>
KVSIFT_HOST_DEVICE float highest_of(G const& g, float const* x, std::uint32_t n) {
  lanes best, next;
  best.fill(x[0]);
  std::uint32_t const whole = n / lane_count * lane_count;
  for (std::uint32_t i = g.thread_rank() * lane_count; i < whole; i += g.num_threads() * lane_count) {
    next.load(x + i);
    best.raise_to(next);
  }
  float each[lane_count];
  best.store(each);
  float highest = each[0];
  for (unsigned l = 1; l < lane_count; ++l) highest = each[l] > highest ? each[l] : highest;
  for (std::uint32_t i = whole; i < n; ++i) highest = x[i] > highest ? x[i] : highest;
  return highest;
}

}  // namespace detail

/// Turns logits [n] into probabilities in place: p[i] = exp(l[i] - max) / sum. The array has room for n rounded up to
/// eight; the tail becomes 0. Eight partial sums by slot modulo eight, added in a fixed order: the same bits for any
/// number of threads. `scratch` [2 x num_threads], `partial` [8].
template <cooperative_group G>
KVSIFT_HOST_DEVICE void softmax(G const& g, float* p, std::uint32_t n, float* partial, std::uint32_t* scratch) {
  std::uint32_t const padded = (n + lane_count - 1) / lane_count * lane_count;
  float highest = detail::highest_of(g, p, n);
  if (g.num_threads() > 1) {
    std::uint64_t const inverted = 0xffffffffu - ordered_key(highest);
    std::uint32_t const key = 0xffffffffu - static_cast<std::uint32_t>(group_min(g, scratch, inverted));
    highest = __builtin_bit_cast(float, (key & 0x80000000u) != 0u ? key ^ 0x80000000u : ~key);
  }
  g.sync();
  for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) p[i] = exp_of(p[i] - highest);
  for (std::uint32_t i = n + g.thread_rank(); i < padded; i += g.num_threads()) p[i] = 0.0f;
  g.sync();
  if (g.num_threads() == 1) {
    lanes sum, next;
    sum.fill(0);
    for (std::uint32_t i = 0; i < padded; i += lane_count) {
      next.load(p + i);
      sum.add(next);
    }
    sum.store(partial);
  } else {
    for (std::uint32_t l = g.thread_rank(); l < lane_count; l += g.num_threads()) {
      float sum = 0;
      for (std::uint32_t i = l; i < padded; i += lane_count) sum += p[i];
      partial[l] = sum;
    }
  }
  g.sync();
  float const total = ((partial[0] + partial[4]) + (partial[2] + partial[6])) +
                      ((partial[1] + partial[5]) + (partial[3] + partial[7]));
  float const inverse = 1.0f / total;
  for (std::uint32_t i = g.thread_rank(); i < padded; i += g.num_threads()) p[i] *= inverse;
  g.sync();
}

}  // namespace kvsift
