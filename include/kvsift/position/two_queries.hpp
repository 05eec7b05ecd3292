#pragma once

#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// Ranks as positions, as in_cache_positions has them, without touching a key: keys are stored rotated to the position that they had
/// in the text, and rotations tell nothing but differences. Among the newest tokens, which follow one another, differences of
/// positions and of ranks are the same. The sinks alone see another query, turned back by the places between its position and its rank.
/// So it is for policies that leave sinks and the newest; others are refused.
/// Queries are given rotated to their position, too. On top of attention: each query is turned once and meets `sinks` keys again.
/// Angles that the caller computes must be exact for the whole text: in double precision.
struct two_query_positions {
  rotary_encoding encoding{};

  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = false;
  static constexpr bool windowed = true;

  static constexpr std::uint32_t next(std::uint32_t seen, std::uint32_t /*held*/) { return seen; }
  rotary_table table(cache_shape const& shape, std::uint32_t /*slots*/) const { return rotary_table::of_digits(encoding, shape.head_dim); }
  constexpr key_reading reading(rotary_view const& table) const { return {.how = key_reading::way::two_queries, .table = table}; }
  friend constexpr bool operator==(two_query_positions const&, two_query_positions const&) = default;
};

}  // namespace kvsift
