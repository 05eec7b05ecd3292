#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/check.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// The shape of a KV cache: what the model fixes. A row is one (sequence, layer, KV head).
struct cache_shape {
  std::uint32_t layers = 1;
  std::uint32_t kv_heads = 1;
  std::uint32_t group = 1;      ///< query heads per KV head
  std::uint32_t head_dim = 64;  ///< elements of one key or value
  std::uint32_t sequences = 1;  ///< batch

  KVSIFT_HOST_DEVICE constexpr std::uint32_t query_heads() const { return kv_heads * group; }
  /// Rows of one layer.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t layer_rows() const { return sequences * kv_heads; }
  KVSIFT_HOST_DEVICE constexpr std::uint32_t rows() const { return layers * layer_rows(); }
  /// Rows lie layer by layer, then sequence by sequence.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t row(std::uint32_t layer, std::uint32_t sequence, std::uint32_t head) const {
    return (layer * sequences + sequence) * kv_heads + head;
  }
  friend constexpr bool operator==(cache_shape const&, cache_shape const&) = default;
};

/// Throws bad_argument if a dimension is zero or too large for 32-bit row arithmetic.
inline void check(cache_shape const& shape) {
  require(shape.layers > 0 && shape.layers <= 4096, "shape.layers", shape.layers, "give 1 to 4096");
  require(shape.kv_heads > 0 && shape.kv_heads <= 4096, "shape.kv_heads", shape.kv_heads, "give 1 to 4096");
  require(shape.group > 0 && shape.group <= 256, "shape.group", shape.group, "give 1 to 256 query heads per KV head");
  require(shape.head_dim > 0 && shape.head_dim <= 1024, "shape.head_dim", shape.head_dim, "give 1 to 1024");
  require(shape.sequences > 0 && shape.sequences <= 65536, "shape.sequences", shape.sequences, "give 1 to 65536");
  std::uint64_t const rows = std::uint64_t{shape.layers} * shape.sequences * shape.kv_heads;
  require(rows <= 0x7fffffffu, "layers x sequences x kv_heads", rows, "give at most 2^31 - 1 rows; lower the batch");
}

}  // namespace kvsift
