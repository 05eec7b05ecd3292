#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Queries that meet a key together in a matrix product: two times eight lanes.
inline constexpr std::uint32_t product_rows = 2 * lane_count;

/// Floats that `count` queries take where they lie packed: [count / product_rows rounded up, dim, product_rows].
KVSIFT_HOST_DEVICE constexpr std::size_t packed_floats(std::size_t count, std::size_t dim) {
  return (count + product_rows - 1) / product_rows * product_rows * dim;
}

/// Where component d of query i lies in packed queries.
KVSIFT_HOST_DEVICE constexpr std::size_t packed_place(std::size_t i, std::size_t d, std::size_t dim) {
  return (i / product_rows * dim + d) * product_rows + i % product_rows;
}

namespace detail {

inline constexpr std::uint32_t product_keys = 4;  ///< that meet a block of packed queries together: 64 sums, in registers
inline constexpr std::uint32_t keys_ahead = 8;     ///< asked for this early: keys of one head lie a page apart, and no processor guesses them

/// out[i x pitch + s x step] = query i . key s for i < rows <= product_rows and s < count <= product_keys, where key s begins at
/// key + s x stride; there are product_keys of them. packed [dim, product_rows].
KVSIFT_HOST_DEVICE KVSIFT_INLINE void product_block(float const* packed, float const* key, std::size_t stride, std::size_t dim,
                                                    std::size_t rows, std::size_t count, float* out, std::size_t pitch, std::size_t step) {
  lanes low[product_keys], high[product_keys];
  KVSIFT_UNROLL for (std::uint32_t s = 0; s < product_keys; ++s) {
    low[s].fill(0);
    high[s].fill(0);
  }
  for (float const* const end = key + dim; key != end; ++key, packed += product_rows) {
    lanes a, b, component;
    a.load(packed);
    b.load(packed + lane_count);
    a.hold();
    b.hold();
    KVSIFT_UNROLL for (std::uint32_t s = 0; s < product_keys; ++s) {
      component.fill(key[s * stride]);
      low[s].add_product(a, component);
      high[s].add_product(b, component);
    }
  }
  float sums[product_keys][product_rows];
  KVSIFT_UNROLL for (std::uint32_t s = 0; s < product_keys; ++s) {
    low[s].store(sums[s]);
    high[s].store(sums[s] + lane_count);
  }
  for (std::size_t i = 0; i < rows; ++i, out += pitch)
    for (std::size_t s = 0; s < count; ++s) out[s * step] = sums[s][i];
}

}  // namespace detail

/// A matrix product, such as the logits of many queries against n keys: out[i x pitch + j x step] = query i . key j, its
/// components added one after another: the same bits for any number of threads. packed: queries as packed_place says, 0 where
/// there is none. keys: key j begins at keys + j x stride. Reads each key once.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void products_of(G const& g, float const* packed, std::size_t count, std::size_t dim, float const* keys,
                                       std::size_t stride, std::size_t n, float* out, std::size_t pitch, std::size_t step = 1) {
  std::size_t const blocks = (count + product_rows - 1) / product_rows, lines = (dim + 15) / 16 * detail::product_keys;
  for (std::size_t first = detail::product_keys * g.thread_rank(); first < n; first += detail::product_keys * g.num_threads()) {
    std::size_t const left = n - first, together = left >= detail::product_keys ? detail::product_keys : 1;
    for (std::size_t j = first; j < first + detail::product_keys && j < n; j += together)  // of fewer than four each is taken four times
      for (std::size_t block = 0; block < blocks; ++block) {
        std::size_t const i = block * product_rows;
        // The keys of a later round are asked for bit by bit, a share before each block.
        for (std::size_t line = lines * block / blocks; line < lines * (block + 1) / blocks; ++line) {
          std::size_t const key = first + detail::keys_ahead + line % detail::product_keys;
          if (key < n) KVSIFT_PREFETCH(keys + key * stride + line / detail::product_keys * 16);
        }
        detail::product_block(packed + i * dim, keys + j * stride, together == 1 ? 0 : stride, dim,
                              count - i < product_rows ? count - i : product_rows, together, out + i * pitch + j * step, pitch, step);
      }
  }
}

}  // namespace kvsift
