#pragma once

#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// Survivors keep the positions they had; keys are stored encoded. What H2O, SnapKV and most others assume.
struct original_positions {
  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = false;

  static constexpr std::uint32_t next(std::uint32_t seen, std::uint32_t /*held*/) { return seen; }
  rotary_table table(cache_shape const&, std::uint32_t /*slots*/) const { return {}; }
  friend constexpr bool operator==(original_positions const&, original_positions const&) = default;
};

}  // namespace kvsift
