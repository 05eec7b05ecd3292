#pragma once

#include <utility>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// A budget for each layer, the same for its heads.
struct layer_budgets {
  std::vector<std::uint32_t> slots;  ///< [layers]

  /// Throws bad_argument unless there is one budget for each layer of the cache.
  std::uint32_t limit(cache_shape const& shape, std::uint32_t layer, std::uint32_t /*head*/) const {
    require(slots.size() == shape.layers, "budgets by layer", slots.size(), "give one for each layer of the cache");
    return slots[layer];
  }
  friend constexpr bool operator==(layer_budgets const&, layer_budgets const&) = default;
};

}  // namespace kvsift
