#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/block_products.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/evict/observation_window.hpp>
#include <kvsift/exec/block_memory.hpp>
#include <kvsift/exec/group.hpp>

// attention_mass where several blocks share a row: each has every so many-th tile of keys, and multiplies it in its memory with the window's
// queries, as many whole ones at a time as make 128 heads.
namespace kvsift {

inline constexpr std::uint32_t mass_parts = 48;  ///< blocks of a row: eight KV heads are 384, three for each multiprocessor of a large GPU

struct split_window : window_of_rows {
  float* packed = nullptr;   ///< [rows, passes, block_query_floats], scaled
  float* partial = nullptr;  ///< [rows, mass_parts, heads, 2], where lse is looked for: the highest logit and the sum of exp(logit - it)
  bool aligned = false;      ///< keys lie on 16-byte boundaries

  /// Queries of a pass.
  KVSIFT_HOST_DEVICE std::uint32_t together() const {
    std::uint32_t const fit = most_block_queries / shape.group;
    return fit < given.window ? fit : given.window;
  }
  KVSIFT_HOST_DEVICE std::uint32_t passes() const { return (given.window + together() - 1) / together(); }
  /// Heads of a pass as they lie packed; those beyond the window's are 0.
  KVSIFT_HOST_DEVICE std::uint32_t wide() const { return (together() * shape.group + lane_count - 1) / lane_count * lane_count; }
  KVSIFT_HOST_DEVICE float* packed_pass(std::uint32_t row, std::uint32_t pass) const {
    return packed + (std::size_t{row} * passes() + pass) * block_query_floats(wide(), shape.head_dim);
  }
  KVSIFT_HOST_DEVICE float* sums_of(std::uint32_t row, std::uint32_t part) const {
    return partial + (std::size_t{row} * mass_parts + part) * heads() * 2;
  }
  /// Floats for each key of a tile, in which its mass is summed up.
  KVSIFT_HOST_DEVICE std::uint32_t sums() const { return given.reduce == group_reduction::mean ? 1 : shape.group; }

  /// What a block works in.
  struct memory {
    product_tile tile;
    float* mass = nullptr;  ///< [sums(), tile.keys]
    std::size_t bytes = 0;
  };
  KVSIFT_HOST_DEVICE memory carve(std::byte* base) const {
    memory m;
    carver from{base};
    m.tile = product_tile::carve(from, wide());
    m.mass = from.take<float>(std::size_t{sums()} * m.tile.keys);
    m.bytes = from.bytes;
    return m;
  }
  std::size_t block_bytes(std::uint32_t) const { return carve(nullptr).bytes; }
  /// Whether a block has memory enough.
  bool fits() const { return shape.group <= most_block_queries && carve(nullptr).bytes <= most_block_bytes; }

  /// Calls f(memory, row, first key, keys, first query, queries) for each pass of each tile of the block, when the products are
  /// there; the next ones are written behind a sync.
  template <group_with_memory G, class F>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void for_tiles(G const& g, std::uint32_t block, F const& f) const {
    memory const m = carve(g.memory());
    std::uint32_t const row = block / mass_parts, step = mass_parts * m.tile.keys;
    for (std::uint32_t first = block % mass_parts * m.tile.keys; first < given.tokens; first += step) {
      std::uint32_t const n = given.tokens - first < m.tile.keys ? given.tokens - first : m.tile.keys;
      for (std::uint32_t pass = 0; pass < passes(); ++pass) {
        std::uint32_t const query = pass * together(), left = given.window - query;
        if (aligned) block_products<true>(g, packed_pass(row, pass), shape.head_dim, key(row, first), key_stride(), n, m.tile);
        else block_products<false>(g, packed_pass(row, pass), shape.head_dim, key(row, first), key_stride(), n, m.tile);
        f(m, row, first, n, query, left < together() ? left : together());
      }
    }
  }
};

/// The window's queries as blocks multiply them. One block a row and pass.
struct pack_window_task {
  split_window window;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const row = block / window.passes(), pass = block % window.passes(), wide = window.wide(), dim = window.shape.head_dim;
    std::uint32_t const first = pass * window.together() * window.shape.group, left = window.heads() - first;
    std::uint32_t const there = window.together() * window.shape.group < left ? window.together() * window.shape.group : left;
    float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
    float* const to = window.packed_pass(row, pass);
    auto const all = static_cast<std::uint32_t>(block_query_floats(wide, dim));
    for (std::uint32_t i = g.thread_rank(); i < all; i += g.num_threads()) {
      std::uint32_t const d = i / wide, h = i % wide;
      to[i] = d < dim && h < there ? window.query(row, first + h)[d] * scale : 0.0f;
    }
  }
};

/// The highest logit of each query, and the sum of exponentials, of the keys of a row that are one block's.
struct window_sums_task {
  split_window window;

  std::size_t block_bytes(std::uint32_t threads) const { return window.block_bytes(threads); }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const group = window.shape.group;
    float* const own = window.sums_of(block / mass_parts, block % mass_parts);
    for (std::uint32_t h = g.thread_rank(); h < window.heads(); h += g.num_threads()) {
      own[2 * h] = -__builtin_inff();
      own[2 * h + 1] = 0;
    }
    g.sync();
    window.for_tiles(g, block, [&](split_window::memory const& m, std::uint32_t, std::uint32_t first, std::uint32_t n, std::uint32_t query,
                                   std::uint32_t queries) {
      for (std::uint32_t i = g.thread_rank(); i < queries * group; i += g.num_threads()) {
        std::uint32_t const h = query * group + i, seen = window.seen_by(h), here = seen <= first ? 0 : seen - first < n ? seen - first : n;
        if (here == 0) continue;
        float const* const logits = m.tile.products + i * m.tile.pitch();
        float highest = own[2 * h], sum = 0;
        for (std::uint32_t j = 0; j < here; ++j) highest = logits[j] > highest ? logits[j] : highest;
        for (std::uint32_t j = 0; j < here; ++j) sum += exp_of(logits[j] - highest);
        own[2 * h + 1] = own[2 * h + 1] * exp_of(own[2 * h] - highest) + sum;
        own[2 * h] = highest;
      }
    });
  }
};

/// lse of each query of a row out of what its blocks found, in their order. One block a row.
struct window_lse_task {
  split_window window;
  float* lse;  ///< as observation_window has it

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t row) const {
    for (std::uint32_t h = g.thread_rank(); h < window.heads(); h += g.num_threads()) {
      auto const of = [&](std::uint32_t part, std::uint32_t what) { return window.sums_of(row, part)[2 * h + what]; };
      float highest = of(0, 0), sum = 0;
      for (std::uint32_t p = 1; p < mass_parts; ++p) highest = of(p, 0) > highest ? of(p, 0) : highest;
      for (std::uint32_t p = 0; p < mass_parts; ++p) sum += of(p, 1) * exp_of(of(p, 0) - highest);
      lse[window.of_query(row, h)] = highest + std::log(sum);
    }
  }
};

/// The mass of the keys of a row that are one block's. given.lse is there.
struct window_mass_task {
  split_window window;
  float* mass;
  std::size_t pitch;

  std::size_t block_bytes(std::uint32_t threads) const { return window.block_bytes(threads); }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    window.for_tiles(g, block, [&](split_window::memory const& m, std::uint32_t row, std::uint32_t first, std::uint32_t n, std::uint32_t query,
                                   std::uint32_t queries) {
      weigh(g, m, row, query, queries);
      g.sync();
      bool const last = query + queries == window.given.window;
      for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads()) {
        if (query == 0)
          for (std::uint32_t s = 0; s < window.sums(); ++s) m.mass[s * m.tile.keys + j] = 0;
        std::uint32_t const sees = window.first_to_see(first + j);
        for (std::uint32_t q = sees < query ? 0 : sees - query; q < queries; ++q) add(m, q, j);
        if (last) mass[row * pitch + first + j] = total(m, j);
      }
    });
  }

 private:
  /// Logits of a pass become probabilities. Where a block has more threads than a tile has keys, each has a key and every so many-th head.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void weigh(G const& g, split_window::memory const& m, std::uint32_t row, std::uint32_t query,
                                              std::uint32_t queries) const {
    std::uint32_t const group = window.shape.group, keys = m.tile.keys, threads = g.num_threads(), rank = g.thread_rank();
    std::uint32_t const step = threads < keys ? 1 : threads / keys, own = threads < keys ? 0 : rank / keys;
    for (std::uint32_t h = own; own < step && h < queries * group; h += step) {
      float const lse = window.given.lse[window.of_query(row, query * group + h)];
      float* const p = m.tile.products + h * m.tile.pitch();
      for (std::uint32_t j = rank - own * keys; j < keys; j += threads) p[j] = exp_of(p[j] - lse);
    }
  }
  /// The probabilities of a key by the pass's query q join its mass. Queries in order; the mean reduces the group before it sums, as
  /// attention's evidence does.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void add(split_window::memory const& m, std::uint32_t q, std::uint32_t j) const {
    std::uint32_t const group = window.shape.group;
    float const* const p = m.tile.products + q * group * m.tile.pitch() + j;
    if (window.given.reduce != group_reduction::mean) {
      for (std::uint32_t h = 0; h < group; ++h) m.mass[h * m.tile.keys + j] += p[h * m.tile.pitch()];
      return;
    }
    float sum = p[0];
    for (std::uint32_t h = 1; h < group; ++h) sum += p[h * m.tile.pitch()];
    m.mass[j] += sum * (1.0f / static_cast<float>(group));
  }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE float total(split_window::memory const& m, std::uint32_t j) const {
    float result = 0;
    for (std::uint32_t s = 0; s < window.sums(); ++s) {
      float const mine = m.mass[s * m.tile.keys + j];
      result = window.given.reduce != group_reduction::max ? result + mine : mine > result ? mine : result;
    }
    return result;
  }
};

}  // namespace kvsift
