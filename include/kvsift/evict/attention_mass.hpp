#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/product.hpp>
#include <kvsift/collective/softmax.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/shape.hpp>
#include <kvsift/evict/observation_window.hpp>
#include <kvsift/evict/split_mass.hpp>
#include <kvsift/exec/executor.hpp>

namespace kvsift {

namespace detail {

inline constexpr std::uint32_t mass_tile = 256;  ///< keys at a time, where the sums of exponentials are known

/// What a block works with. With a null base it only counts.
struct mass_scratch {
  float* queries = nullptr;  ///< window x group, packed, scaled
  float* logits = nullptr;   ///< [window x group, pitch]
  float* partial = nullptr;  ///< [8]
  std::uint32_t* words = nullptr;
  std::size_t pitch = 0;
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static mass_scratch carve(std::byte* base, cache_shape const& shape, observation_window const& w,
                                               std::uint32_t threads) {
    mass_scratch s;
    s.pitch = w.lse != nullptr && w.tokens > mass_tile ? mass_tile : (std::size_t{w.tokens} + 7) / 8 * 8;
    std::size_t const heads = std::size_t{w.window} * shape.group;
    carver memory{base};
    s.queries = memory.take<float>(packed_floats(heads, shape.head_dim));
    s.logits = memory.take<float>(heads * s.pitch);
    s.partial = memory.take<float>(lane_count);
    s.words = memory.take<std::uint32_t>(std::size_t{2} * threads);
    s.bytes = memory.bytes;
    return s;
  }
};

/// A float with as much of what lanes can do as the sums below need.
struct one_lane {
  float v;
  KVSIFT_HOST_DEVICE void fill(float x) { v = x; }
  KVSIFT_HOST_DEVICE void load(float const* p) { v = *p; }
  KVSIFT_HOST_DEVICE void add(one_lane a) { v += a.v; }
  KVSIFT_HOST_DEVICE void scale(float x) { v *= x; }
  KVSIFT_HOST_DEVICE void raise_to(one_lane a) { v = a.v > v ? a.v : v; }
};

}  // namespace detail

/// The mass of a row's keys by one block: see attention_mass.
struct attention_mass_task {
  window_of_rows window;
  std::byte* workspace;
  std::size_t block_bytes;
  std::uint32_t threads;
  float* mass;
  std::size_t pitch;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t row) const {
    observation_window const& given = window.given;
    detail::mass_scratch const scratch = detail::mass_scratch::carve(workspace + row * block_bytes, window.shape, given, threads);
    std::uint32_t const heads = window.heads(), dim = window.shape.head_dim;
    bool const whole = given.lse == nullptr;
    std::uint32_t const tile = whole ? given.tokens : detail::mass_tile;
    auto const padded = static_cast<std::uint32_t>(packed_floats(heads, 1));
    float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (std::uint32_t h = g.thread_rank(); h < padded; h += g.num_threads()) {
      float const* const q = h < heads ? window.query(row, h) : nullptr;
      for (std::uint32_t d = 0; d < dim; ++d) scratch.queries[packed_place(h, d, dim)] = q != nullptr ? q[d] * scale : 0.0f;
    }
    g.sync();
    for (std::uint32_t first = 0; first < given.tokens; first += tile) {
      std::uint32_t const n = given.tokens - first < tile ? given.tokens - first : tile;
      products_of(g, scratch.queries, heads, dim, window.key(row, first), window.key_stride(), n, scratch.logits, scratch.pitch);
      g.sync();
      for (std::uint32_t h = 0; h < heads; ++h) {
        float* const p = scratch.logits + h * scratch.pitch;
        if (whole) {
          softmax(g, p, window.seen_by(h), scratch.partial, scratch.words);
        } else {
          float const log_sum = given.lse[window.of_query(row, h)];
          for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) p[i] = exp_of(p[i] - log_sum);
        }
      }
      g.sync();
      float* const out = mass + row * pitch + first;
      std::uint32_t const past = given.tokens - given.window, seen_by_all = first < past ? (past - first < n ? past - first : n) : 0;
      std::uint32_t const together = seen_by_all / lane_count * lane_count;
      for (std::uint32_t i = g.thread_rank() * lane_count; i < together; i += g.num_threads() * lane_count)
        reduced<lanes>(scratch, 0, i).store(out + i);
      for (std::uint32_t i = together + g.thread_rank(); i < n; i += g.num_threads())
        out[i] = reduced<detail::one_lane>(scratch, window.first_to_see(first + i), i).v;
      g.sync();
    }
  }

 private:
  /// The mass of key i of the tile, of queries `from` on: queries in order; the mean reduces the group before it sums, as
  /// attention's evidence does. Several: a lanes, for keys i .. i + 7, or one_lane.
  template <class Several>
  KVSIFT_HOST_DEVICE Several reduced(detail::mass_scratch const& scratch, std::uint32_t from, std::uint32_t i) const {
    observation_window const& given = window.given;
    std::uint32_t const group = window.shape.group;
    auto const at = [&](std::uint32_t query, std::uint32_t h) {
      Several p;
      p.load(scratch.logits + (std::size_t{query} * group + h) * scratch.pitch + i);
      return p;
    };
    Several result;
    result.fill(0);
    if (given.reduce == group_reduction::mean) {
      float const share = 1.0f / static_cast<float>(group);
      for (std::uint32_t q = from; q < given.window; ++q) {
        Several sum = at(q, 0);
        for (std::uint32_t h = 1; h < group; ++h) sum.add(at(q, h));
        sum.scale(share);
        result.add(sum);
      }
      return result;
    }
    for (std::uint32_t h = 0; h < group; ++h) {
      Several sum;
      sum.fill(0);
      for (std::uint32_t q = from; q < given.window; ++q) sum.add(at(q, h));
      if (given.reduce == group_reduction::sum) result.add(sum);
      else result.raise_to(sum);
    }
    return result;
  }
};

namespace detail {

/// How attention_mass goes about a window, and where in the workspace what lies. With a null base it only counts.
struct mass_plan {
  bool split = false;        ///< several blocks share a row
  split_window several;      ///< where they do
  float* lse = nullptr;      ///< [sequences, window, query heads]; null where it is given, or rows are whole
  std::byte* blocks = nullptr;
  std::size_t block_bytes = 0;
  std::size_t bytes = 0;

  static mass_plan carve(std::byte* base, cache_shape const& shape, observation_window const& w, std::uint32_t threads, bool split) {
    mass_plan p;
    p.several = {{shape, w}};
    p.split = split && w.tokens > mass_tile && p.several.fits();
    carver memory{base};
    std::size_t const rows = shape.layer_rows(), heads = std::size_t{w.window} * shape.group;
    if (p.split) {
      p.several.aligned = shape.head_dim % 4 == 0 && reinterpret_cast<std::uintptr_t>(w.keys) % 16 == 0;
      p.several.packed = memory.take<float>(rows * p.several.passes() * block_query_floats(p.several.wide(), shape.head_dim));
      p.several.partial = memory.take<float>(w.lse == nullptr ? rows * mass_parts * heads * 2 : 0);
      if (w.lse == nullptr) p.lse = memory.take<float>(rows * heads);
    } else {
      p.block_bytes = mass_scratch::carve(nullptr, shape, w, threads).bytes;
      p.blocks = memory.take<std::byte>(rows * p.block_bytes);
    }
    p.bytes = memory.bytes;
    return p;
  }
};

}  // namespace detail

/// Bytes of workspace that attention_mass needs on an executor: window x group x tokens floats a row, or x 256 where lse is given. Where
/// rows are split window x group x head_dim (rounded up), and 97 x window x group where lse is not given.
template <executor Executor>
std::size_t attention_mass_bytes(cache_shape const& shape, observation_window const& window, std::uint32_t group_threads = 1) {
  return detail::mass_plan::carve(nullptr, shape, window, group_threads, splits_rows<space_of<Executor>>).bytes;
}
/// The same, on the executors of the host.
inline std::size_t attention_mass_bytes(cache_shape const& shape, observation_window const& window, std::uint32_t group_threads = 1) {
  return attention_mass_bytes<serial_executor>(shape, window, group_threads);
}

/// The attention mass that the last `window` queries of a prompt give each of its keys, causal, the window's own included:
///
///   mass[j] = sum over the window's queries i >= j of softmax_i(q_i . k / sqrt(head_dim))[j], reduced over the group
///   mass [sequences, kv_heads, pitch]
///
/// What compress takes as masses.window, for engines whose attention does not tell. Nothing of size tokens x tokens is made. Sums go in
/// the order of the queries: the same bits for any number of threads; the mass of the column that step feeds, to rounding (a compiler may
/// fuse one and not the other). K is read once, in one launch. Where rows of more than 256 tokens are split (splits_rows, and a block has memory
/// enough) they have 48 blocks each: K is read once for each 128 of window x group heads in two launches, or twice as often in four where lse
/// is not given, as the sums of exponentials are found first.
/// No allocation, capturable.
/// workspace: attention_mass_bytes<Executor>(shape, given, group_threads) bytes on a 64-byte boundary.
template <executor Executor>
void attention_mass(Executor const& on, cache_shape const& shape, observation_window const& given, float* mass, std::size_t pitch,
                    std::byte* workspace, std::size_t workspace_bytes, std::uint32_t group_threads = 1) {
  check(shape);
  require(given.window >= 1 && given.window <= given.tokens, "window", given.window, "give 1 to as many queries as there are tokens");
  require(pitch >= given.tokens, "pitch", pitch, "give rows at least as long as the prompt");
  constexpr bool split = splits_rows<space_of<Executor>>;
  auto const plan = detail::mass_plan::carve(workspace, shape, given, group_threads, split);
  require(workspace_bytes >= plan.bytes, "workspace_bytes", workspace_bytes, "give what attention_mass_bytes says");
  std::uint32_t const rows = shape.layer_rows();
  if constexpr (split) {
    if (plan.split) {
      split_window window = plan.several;
      on.launch(rows * window.passes(), pack_window_task{window});
      if (plan.lse != nullptr) {
        on.launch(rows * mass_parts, window_sums_task{window});
        on.launch(rows, window_lse_task{window, plan.lse});
        window.given.lse = plan.lse;
      }
      on.launch(rows * mass_parts, window_mass_task{window, mass, pitch});
      return;
    }
  }
  on.launch(rows, attention_mass_task{{shape, given}, plan.blocks, plan.block_bytes, group_threads, mass, pitch});
}

}  // namespace kvsift
