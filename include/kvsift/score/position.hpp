#pragma once

#include <kvsift/core/random.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// All slots are worth the same: ties decide, and among equals the lowest position goes. The oldest slot that is not
/// guarded: StreamingLLM (arXiv 2309.17453), recency, recent_global.
struct oldest_first {
  static constexpr bool leaves_a_window = true;
  static constexpr auto columns() { return column_set<>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const&, std::uint32_t) const { return 0.0f; }
  friend constexpr bool operator==(oldest_first const&, oldest_first const&) = default;
};

/// Even positions go first, then odd ones, each from the oldest up. A baseline of cold-compress.
struct even_first {
  static constexpr auto columns() { return column_set<>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return static_cast<float>(row.positions[slot] & 1u);
  }
  friend constexpr bool operator==(even_first const&, even_first const&) = default;
};

/// A draw per (layer, head, position, tokens seen), new at every decision, the same on every executor.
struct random_draw {
  std::uint64_t seed = 0;
  static constexpr auto columns() { return column_set<>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    counter_random const draw{seed};
    std::uint32_t const head = (row.about.layer << 20) ^ (row.about.sequence << 10) ^ row.about.head;
    return draw.uniform(row.positions[slot], row.about.next, head);
  }
  friend constexpr bool operator==(random_draw const&, random_draw const&) = default;
};

}  // namespace kvsift
