#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/column/attention.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// The last queries of a prompt, and all of its keys, encoded as attention sees them.
struct observation_window {
  float const* queries = nullptr;  ///< [sequences, window, kv_heads x group, head_dim], of the tokens' last `window` positions
  float const* keys = nullptr;     ///< [sequences, tokens, kv_heads, head_dim]
  std::uint32_t tokens = 0;
  std::uint32_t window = 0;  ///< 1 .. tokens
  group_reduction reduce = group_reduction::mean;
  float const* lse = nullptr;  ///< [sequences, window, kv_heads x group]: log of the sum of exp(logit), where attention has it; or null
};

/// A window of rows, (sequence, KV head), of a layer. Heads of a row are its query heads, query by query.
struct window_of_rows {
  cache_shape shape;
  observation_window given;

  KVSIFT_HOST_DEVICE std::uint32_t heads() const { return given.window * shape.group; }
  /// Place of the row's head h among all query heads of the window's batch.
  KVSIFT_HOST_DEVICE std::size_t of_query(std::uint32_t row, std::uint32_t h) const {
    std::size_t const query = std::size_t{row / shape.kv_heads} * given.window + h / shape.group;
    return query * shape.query_heads() + std::size_t{row % shape.kv_heads} * shape.group + h % shape.group;
  }
  KVSIFT_HOST_DEVICE float const* query(std::uint32_t row, std::uint32_t h) const { return given.queries + of_query(row, h) * shape.head_dim; }
  /// Floats from one key of a row to the next.
  KVSIFT_HOST_DEVICE std::size_t key_stride() const { return std::size_t{shape.kv_heads} * shape.head_dim; }
  KVSIFT_HOST_DEVICE float const* key(std::uint32_t row, std::uint32_t token) const {
    return given.keys + (std::size_t{row / shape.kv_heads} * given.tokens + token) * key_stride() + std::size_t{row % shape.kv_heads} * shape.head_dim;
  }
  /// Keys that the window's head h sees.
  KVSIFT_HOST_DEVICE std::uint32_t seen_by(std::uint32_t h) const { return given.tokens - given.window + h / shape.group + 1; }
  /// The first of the window's queries that sees a key.
  KVSIFT_HOST_DEVICE std::uint32_t first_to_see(std::uint32_t key) const {
    std::uint32_t const past = given.tokens - given.window;
    return key < past ? 0 : key - past;
  }
};

}  // namespace kvsift
