#pragma once

#include <kvsift/budget/concepts.hpp>

namespace kvsift {

/// The same number of slots for every head of every layer.
struct uniform_budget {
  std::uint32_t slots = 0;

  constexpr std::uint32_t limit(cache_shape const&, std::uint32_t /*layer*/, std::uint32_t /*head*/) const { return slots; }
  friend constexpr bool operator==(uniform_budget const&, uniform_budget const&) = default;
};

/// No limit: the cache grows to the capacity that the plan was given.
struct unlimited {
  constexpr std::uint32_t limit(cache_shape const&, std::uint32_t, std::uint32_t) const { return no_limit; }
  friend constexpr bool operator==(unlimited const&, unlimited const&) = default;
};

}  // namespace kvsift
