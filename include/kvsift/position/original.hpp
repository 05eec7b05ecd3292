#pragma once

#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// Survivors keep the positions they had; keys are stored encoded. What H2O, SnapKV and most others assume. A model with linear
/// biases (ALiBi) names them: they go by positions then.
struct original_positions {
  linear_bias bias{};

  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = false;

  static constexpr std::uint32_t next(std::uint32_t seen, std::uint32_t /*held*/) { return seen; }
  rotary_table table(cache_shape const&, std::uint32_t /*slots*/) const { return kvsift::check(bias), rotary_table{}; }
  constexpr key_reading reading(rotary_view const&) const { return {.bias = bias}; }
  friend constexpr bool operator==(original_positions const&, original_positions const&) = default;
};

}  // namespace kvsift
