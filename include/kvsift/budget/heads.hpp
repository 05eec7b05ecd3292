#pragma once

#include <cstddef>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// A budget for each KV head of each layer: what headkv_slots, cokv_slots and duo_attention_slots make, or your own.
/// Memory is taken for what each head may keep, no more.
struct head_budgets {
  std::vector<std::uint32_t> slots;  ///< [layers, kv_heads]; no_limit: keeps everything

  /// Throws bad_argument unless there is one budget for each head of the cache.
  std::uint32_t limit(cache_shape const& shape, std::uint32_t layer, std::uint32_t head) const {
    require(slots.size() == std::size_t{shape.layers} * shape.kv_heads, "budgets by head", slots.size(),
            "give one for each KV head of each layer of the cache");
    return slots[std::size_t{layer} * shape.kv_heads + head];
  }
  friend constexpr bool operator==(head_budgets const&, head_budgets const&) = default;
};

}  // namespace kvsift
