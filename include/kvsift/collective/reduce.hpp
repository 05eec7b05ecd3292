#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// The sum of every thread's `value`, known to all. Whole numbers only: their sum does not depend on the order.
/// `scratch` [num_threads]. One pass, two barriers.
template <cooperative_group G>
KVSIFT_HOST_DEVICE std::uint32_t group_sum(G const& g, std::uint32_t* scratch, std::uint32_t value) {
  if (g.num_threads() == 1) return value;
  g.sync();
  scratch[g.thread_rank()] = value;
  g.sync();
  std::uint32_t total = 0;
  for (std::uint32_t t = 0; t < g.num_threads(); ++t) total += scratch[t];
  return total;
}

/// The same of 64-bit numbers. `scratch` [2 x num_threads].
template <cooperative_group G>
KVSIFT_HOST_DEVICE std::uint64_t group_sum(G const& g, std::uint32_t* scratch, std::uint64_t value) {
  if (g.num_threads() == 1) return value;
  g.sync();
  scratch[2 * g.thread_rank()] = static_cast<std::uint32_t>(value >> 32);
  scratch[2 * g.thread_rank() + 1] = static_cast<std::uint32_t>(value);
  g.sync();
  std::uint64_t total = 0;
  for (std::uint32_t t = 0; t < g.num_threads(); ++t) total += (static_cast<std::uint64_t>(scratch[2 * t]) << 32) | scratch[2 * t + 1];
  return total;
}

/// The lowest of every thread's 64-bit `value`, known to all. `scratch` [2 x num_threads].
template <cooperative_group G>
KVSIFT_HOST_DEVICE std::uint64_t group_min(G const& g, std::uint32_t* scratch, std::uint64_t value) {
  if (g.num_threads() == 1) return value;
  g.sync();
  scratch[2 * g.thread_rank()] = static_cast<std::uint32_t>(value >> 32);
  scratch[2 * g.thread_rank() + 1] = static_cast<std::uint32_t>(value);
  g.sync();
  std::uint64_t lowest = value;
  for (std::uint32_t t = 0; t < g.num_threads(); ++t) {
    std::uint64_t const other = (static_cast<std::uint64_t>(scratch[2 * t]) << 32) | scratch[2 * t + 1];
    lowest = other < lowest ? other : lowest;
  }
  return lowest;
}

}  // namespace kvsift
