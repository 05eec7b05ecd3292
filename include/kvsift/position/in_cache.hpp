#pragma once

#include <kvsift/core/check.hpp>
#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// A key's position is its rank among the slots held: 0 .. held - 1, whatever was evicted (StreamingLLM, arXiv
/// 2309.17453). Keys are stored unrotated and rotated on read, so that nothing drifts; the model's trained length is
/// never crossed while the capacity stays below it. Queries are given unrotated, too.
struct in_cache_positions {
  double theta = 10000.0;
  pairing pairs = pairing::half_split;
  std::uint32_t rotary_dim = 0;  ///< 0: all of head_dim

  static constexpr kvsift::keys_are keys = kvsift::keys_are::unrotated;
  static constexpr bool ranked = true;

  static constexpr std::uint32_t next(std::uint32_t /*seen*/, std::uint32_t held) { return held; }
  rotary_table table(cache_shape const& shape, std::uint32_t slots) const {
    require(theta > 0, "theta", theta, "give the rotary base of the model, such as 10000");
    require(rotary_dim <= shape.head_dim, "rotary_dim", rotary_dim, "give at most head_dim");
    return rotary_table(theta, rotary_dim != 0 ? rotary_dim : shape.head_dim, pairs, slots);
  }
  friend constexpr bool operator==(in_cache_positions const&, in_cache_positions const&) = default;
};

}  // namespace kvsift
