#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/carver.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/block_memory.hpp>

// A matrix product by a block whose threads work side by side in its memory: products_of for groups that have one.
namespace kvsift {

/// Most queries that a block multiplies with a tile of keys.
inline constexpr std::uint32_t most_block_queries = 128;

namespace detail {

inline constexpr std::uint32_t components_at_once = 16;  ///< of all vectors, in the block's memory; as many are under way
inline constexpr std::uint32_t key_pitch = components_at_once + 4;  ///< so that neighbouring keys lie in other banks
inline constexpr std::uint32_t thread_keys = 8;  ///< that a thread multiplies eight queries with: 64 sums, in registers

}  // namespace detail

/// Queries [queries] and keys [keys] of a tile, and where their products lie.
struct product_tile {
  std::uint32_t queries = 0;  ///< a multiple of eight, at most most_block_queries
  std::uint32_t keys = 0;     ///< a multiple of eight: fewer queries have more keys, so that threads have work
  float* some_queries = nullptr;  ///< [2, components_at_once, queries]
  float* some_keys = nullptr;     ///< [2, keys, key_pitch]
  float* products = nullptr;      ///< [queries, pitch()]

  KVSIFT_HOST_DEVICE static constexpr std::uint32_t keys_of(std::uint32_t queries) { return queries > 64 ? 64 : queries > 32 ? 128 : 256; }
  KVSIFT_HOST_DEVICE std::uint32_t pitch() const { return keys + 1; }

  KVSIFT_HOST_DEVICE static product_tile carve(carver& memory, std::uint32_t queries) {
    product_tile t;
    t.queries = queries;
    t.keys = keys_of(queries);
    t.some_queries = memory.take<float>(std::size_t{2} * detail::components_at_once * queries);
    t.some_keys = memory.take<float>(std::size_t{2} * t.keys * detail::key_pitch);
    t.products = memory.take<float>(std::size_t{queries} * t.pitch());
    return t;
  }
};

/// Floats of `queries` vectors as block_products wants them: [dim rounded up to four, queries], 0 in the components beyond dim.
KVSIFT_HOST_DEVICE constexpr std::size_t block_query_floats(std::uint32_t queries, std::uint32_t dim) {
  return std::size_t{dim + 3} / 4 * 4 * queries;
}

/// tile.products[i x pitch + j] = query i . key j for i < tile.queries, j < n <= tile.keys, components added one after another: the bits of
/// products_of, for any number of threads.
/// queries: see block_query_floats, on a 16-byte boundary. keys: key j begins at keys + j x stride. Aligned: on a 16-byte boundary, with
/// dim a multiple of four. A thread has eight queries and eight keys, or several times as many where there are fewer threads than
/// tile.queries x tile.keys / 64; the components to come are under way. Reads queries and keys once. Ends with a sync.
template <bool Aligned, group_with_memory G>
KVSIFT_HOST_DEVICE void block_products(G const& g, float const* queries, std::uint32_t dim, float const* keys, std::size_t stride, std::uint32_t n,
                                       product_tile const& tile) {
  using detail::components_at_once;
  constexpr std::uint32_t quads = components_at_once / 4;
  std::uint32_t const rank = g.thread_rank(), threads = g.num_threads(), wide = (dim + 3) / 4 * 4;
  std::uint32_t const apart = tile.keys / detail::thread_keys, items = tile.queries / lane_count * apart;
  auto const ask = [&](std::uint32_t stage, std::uint32_t first) {
    std::uint32_t const count = wide - first < components_at_once ? wide - first : components_at_once;
    float* const to_queries = tile.some_queries + stage * components_at_once * tile.queries;
    float const* const from_queries = queries + std::size_t{first} * tile.queries;
    for (std::uint32_t i = rank * 4; i < count * tile.queries; i += threads * 4)
      ask_for<16>(g, reinterpret_cast<std::byte*>(to_queries + i), reinterpret_cast<std::byte const*>(from_queries + i));
    float* const to_keys = tile.some_keys + stage * tile.keys * detail::key_pitch;
    for (std::uint32_t i = rank; i < n * quads; i += threads) {
      std::uint32_t const key = i / quads, d = i % quads * 4;
      if (d >= count) continue;
      float* const to = to_keys + key * detail::key_pitch + d;
      float const* const from = keys + key * stride + first + d;
      if constexpr (Aligned) {
        ask_for<16>(g, reinterpret_cast<std::byte*>(to), reinterpret_cast<std::byte const*>(from));
      } else {
        for (std::uint32_t l = 0; l < 4; ++l) to[l] = first + d + l < dim ? from[l] : 0.0f;
      }
    }
    end_batch(g);
  };
  bool const several = items > threads;  // sums of a thread's items wait for the next components among the products
  lanes sums[detail::thread_keys] = {};
  ask(0, 0);
  for (std::uint32_t first = 0, stage = 0; first < dim; first += components_at_once, stage ^= 1u) {
    wait_for_batches<0>(g);
    g.sync();  // these are there, and nobody reads those before any more
    bool const last = first + components_at_once >= dim;
    if (!last) ask(stage ^ 1u, first + components_at_once);
    std::uint32_t const count = wide - first < components_at_once ? wide - first : components_at_once;
    for (std::uint32_t item = rank; item < items; item += threads) {
      std::uint32_t const query = item / apart * lane_count, key = item % apart;
      float* const products = tile.products + query * tile.pitch() + key;
      if (first == 0) {
        KVSIFT_UNROLL for (std::uint32_t j = 0; j < detail::thread_keys; ++j) sums[j].fill(0);
      } else if (several) {
        KVSIFT_UNROLL for (std::uint32_t j = 0; j < detail::thread_keys; ++j) {
          float of_key[lane_count];
          KVSIFT_UNROLL for (std::uint32_t l = 0; l < lane_count; ++l) of_key[l] = products[l * tile.pitch() + j * apart];
          sums[j].load(of_key);
        }
      }
      float const* q = tile.some_queries + stage * components_at_once * tile.queries + query;
      float const* k = tile.some_keys + (stage * tile.keys + key) * detail::key_pitch;
      for (std::uint32_t d = 0; d < count; d += 4, k += 4) {
        struct alignas(16) four {
          float x[4];
        } some[detail::thread_keys];
        KVSIFT_UNROLL for (std::uint32_t j = 0; j < detail::thread_keys; ++j)
          some[j] = *reinterpret_cast<four const*>(k + j * apart * detail::key_pitch);
        KVSIFT_UNROLL for (std::uint32_t l = 0; l < 4; ++l, q += tile.queries) {
          lanes eight, component;
          eight.load_aligned(q);
          KVSIFT_UNROLL for (std::uint32_t j = 0; j < detail::thread_keys; ++j) {
            component.fill(some[j].x[l]);
            sums[j].add_product(eight, component);
          }
        }
      }
      if (!several && !last) continue;
      KVSIFT_UNROLL for (std::uint32_t j = 0; j < detail::thread_keys; ++j) {
        float of_key[lane_count];
        sums[j].store(of_key);
        KVSIFT_UNROLL for (std::uint32_t l = 0; l < lane_count; ++l) products[l * tile.pitch() + j * apart] = of_key[l];
      }
    }
  }
  g.sync();
}

}  // namespace kvsift
