#pragma once

#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// A key's position is its rank among the slots held: 0 .. held - 1, whatever was evicted (StreamingLLM, arXiv
/// 2309.17453). Keys are stored unrotated and rotated on read, so that nothing drifts; the model's trained length is
/// never crossed while the capacity stays below it. Queries are given unrotated, too.
/// A model with linear biases (ALiBi) has encoding.theta = 0 and names them: they go by ranks.
/// With encoding.theta = 0 and no biases, for models with learned positions, a key keeps the position that it had when it came, which is
/// the number of slots held then: such models collapse under it.
struct in_cache_positions {
  rotary_encoding encoding{};
  linear_bias bias{};

  static constexpr kvsift::keys_are keys = kvsift::keys_are::unrotated;
  static constexpr bool ranked = true;

  static constexpr std::uint32_t next(std::uint32_t /*seen*/, std::uint32_t held) { return held; }
  rotary_table table(cache_shape const& shape, std::uint32_t slots) const {
    kvsift::check(bias);
    return {encoding, shape.head_dim, slots};
  }
  constexpr key_reading reading(rotary_view const& table) const {
    using way = key_reading::way;
    return {.how = table.cosines == nullptr ? way::as_stored : way::by_rank, .ranked = true, .bias = bias, .table = table};
  }
  friend constexpr bool operator==(in_cache_positions const&, in_cache_positions const&) = default;
};

}  // namespace kvsift
