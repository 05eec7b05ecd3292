#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/product.hpp>
#include <kvsift/collective/softmax.hpp>
#include <kvsift/column/attention.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/shape.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/payload/plain.hpp>

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

namespace detail {

inline constexpr std::uint32_t mass_tile = 256;  ///< keys at a time, where the sums of exponentials are known
inline constexpr std::uint32_t mass_parts = 16;  ///< blocks of a row, where a space says that rows are split; each has every so many-th tile

/// What a block works with. With a null base it only counts.
struct mass_scratch {
  float* queries = nullptr;  ///< window x group, packed, scaled
  float* logits = nullptr;   ///< [window x group, pitch]
  float* partial = nullptr;  ///< [8]
  std::uint32_t* words = nullptr;
  std::size_t pitch = 0;
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static mass_scratch carve(std::byte* base, cache_shape const& shape, observation_window const& w,
                                               std::uint32_t threads, std::uint32_t parts) {
    mass_scratch s;
    s.pitch = (w.lse != nullptr || parts > 1) && w.tokens > mass_tile ? mass_tile : (std::size_t{w.tokens} + 7) / 8 * 8;
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

/// What the tasks of attention_mass are given. A row, (sequence, KV head), is `parts` blocks'; several only where lse is known or looked for.
struct mass_of_window {
  cache_shape shape;
  observation_window given;
  std::byte* workspace;
  std::size_t block_bytes;
  std::uint32_t threads;
  std::uint32_t parts;
  float* partial = nullptr;  ///< [rows, parts, window x group, 2], where lse is looked for: the highest logit and the sum of exp(logit - it)

  KVSIFT_HOST_DEVICE std::uint32_t heads() const { return given.window * shape.group; }
  /// Place of the window's query head h (of one KV head, query by query) among all query heads of the batch.
  KVSIFT_HOST_DEVICE std::size_t of_query(std::uint32_t row, std::uint32_t h) const {
    std::size_t const query = std::size_t{row / shape.kv_heads} * given.window + h / shape.group;
    return query * shape.query_heads() + std::size_t{row % shape.kv_heads} * shape.group + h % shape.group;
  }
  /// Keys that the window's query head h sees.
  KVSIFT_HOST_DEVICE std::uint32_t seen_by(std::uint32_t h) const { return given.tokens - given.window + h / shape.group + 1; }

  /// Calls f(scratch, row, first, n) for the tiles of `tile` keys that are this block's, when their logits are there. f ends with a sync.
  template <cooperative_group G, class F>
  KVSIFT_HOST_DEVICE void for_tiles(G const& g, std::uint32_t block, std::uint32_t tile, F const& f) const {
    detail::mass_scratch const scratch = detail::mass_scratch::carve(workspace + block * block_bytes, shape, given, threads, parts);
    std::uint32_t const dim = shape.head_dim, row = block / parts, part = block % parts;
    std::size_t const stride = std::size_t{shape.kv_heads} * dim;
    float const* const first_key = given.keys + row / shape.kv_heads * given.tokens * stride + std::size_t{row % shape.kv_heads} * dim;
    auto const padded = static_cast<std::uint32_t>(packed_floats(heads(), 1));
    float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (std::uint32_t h = g.thread_rank(); h < padded; h += g.num_threads()) {
      float const* const q = h < heads() ? given.queries + of_query(row, h) * dim : nullptr;
      for (std::uint32_t d = 0; d < dim; ++d) scratch.queries[packed_place(h, d, dim)] = q != nullptr ? q[d] * scale : 0.0f;
    }
    g.sync();
    for (std::uint32_t first = part * tile; first < given.tokens; first += parts * tile) {
      std::uint32_t const n = given.tokens - first < tile ? given.tokens - first : tile;
      products_of(g, scratch.queries, heads(), dim, first_key + first * stride, stride, n, scratch.logits, scratch.pitch);
      g.sync();
      f(scratch, row, first, n);
    }
  }
};

/// The highest logit of each query, and the sum of exponentials, of the keys of a row that are one block's.
struct window_sums_task {
  mass_of_window window;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const heads = window.heads();
    float* const own = window.partial + std::size_t{block} * heads * 2;
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
      own[2 * h] = -__builtin_inff();
      own[2 * h + 1] = 0;
    }
    window.for_tiles(g, block, detail::mass_tile, [&](detail::mass_scratch const& scratch, std::uint32_t, std::uint32_t first, std::uint32_t n) {
      for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
        std::uint32_t const seen = window.seen_by(h), here = seen <= first ? 0 : seen - first < n ? seen - first : n;
        if (here == 0) continue;
        float const* const logits = scratch.logits + h * scratch.pitch;
        float highest = own[2 * h], sum = 0;
        for (std::uint32_t i = 0; i < here; ++i) highest = logits[i] > highest ? logits[i] : highest;
        for (std::uint32_t i = 0; i < here; ++i) sum += exp_of(logits[i] - highest);
        own[2 * h + 1] = own[2 * h + 1] * exp_of(own[2 * h] - highest) + sum;
        own[2 * h] = highest;
      }
      g.sync();
    });
  }
};

/// lse of each query of a row out of what its blocks found, in their order. One block a row.
struct window_lse_task {
  mass_of_window window;
  float* lse;  ///< as observation_window has it

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t row) const {
    std::uint32_t const heads = window.heads();
    float const* const all = window.partial + std::size_t{row} * window.parts * heads * 2;
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
      auto const of = [&](std::uint32_t part, std::uint32_t what) { return all[(std::size_t{part} * heads + h) * 2 + what]; };
      float highest = of(0, 0), sum = 0;
      for (std::uint32_t p = 1; p < window.parts; ++p) highest = of(p, 0) > highest ? of(p, 0) : highest;
      for (std::uint32_t p = 0; p < window.parts; ++p) sum += of(p, 1) * exp_of(of(p, 0) - highest);
      lse[window.of_query(row, h)] = highest + std::log(sum);
    }
  }
};

/// The mass itself: see attention_mass.
struct attention_mass_task {
  mass_of_window window;
  float* mass;
  std::size_t pitch;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    observation_window const& given = window.given;
    std::uint32_t const heads = window.heads();
    bool const whole = given.lse == nullptr;
    window.for_tiles(g, block, whole ? given.tokens : detail::mass_tile,
                     [&](detail::mass_scratch const& scratch, std::uint32_t row, std::uint32_t first, std::uint32_t n) {
      float* const out = mass + row * pitch;
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
      std::uint32_t const past = given.tokens - given.window, seen_by_all = first < past ? (past - first < n ? past - first : n) : 0;
      std::uint32_t const together = seen_by_all / lane_count * lane_count;
      for (std::uint32_t i = g.thread_rank() * lane_count; i < together; i += g.num_threads() * lane_count)
        reduced<lanes>(scratch, 0, i).store(out + first + i);
      for (std::uint32_t i = together + g.thread_rank(); i < n; i += g.num_threads())
        out[first + i] = reduced<detail::one_lane>(scratch, i < seen_by_all ? 0 : first + i - past, i).v;
      g.sync();
    });
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
  std::uint32_t parts = 1;
  float* lse = nullptr;      ///< [sequences, window, query heads]; null where it is given, or rows are whole
  float* partial = nullptr;  ///< see mass_of_window
  std::byte* blocks = nullptr;
  std::size_t block_bytes = 0;
  std::size_t bytes = 0;

  static mass_plan carve(std::byte* base, cache_shape const& shape, observation_window const& w, std::uint32_t threads, bool split) {
    mass_plan p;
    p.parts = split && w.tokens > mass_tile ? mass_parts : 1;
    bool const looked_for = p.parts > 1 && w.lse == nullptr;
    std::size_t const rows = shape.layer_rows(), heads = std::size_t{w.window} * shape.group;
    carver memory{base};
    p.lse = memory.take<float>(looked_for ? rows * heads : 0);
    p.partial = memory.take<float>(looked_for ? rows * p.parts * heads * 2 : 0);
    p.block_bytes = mass_scratch::carve(nullptr, shape, w, threads, p.parts).bytes;
    p.blocks = memory.take<std::byte>(rows * p.parts * p.block_bytes);
    p.bytes = memory.bytes;
    if (!looked_for) p.lse = p.partial = nullptr;
    return p;
  }
};

}  // namespace detail

/// Bytes of workspace that attention_mass needs on an executor: window x group x tokens floats a block, or x 256 where lse is given. Where
/// rows are split they have 16 blocks of the second kind.
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
/// fuse one and not the other). K is read once, in one launch; where rows are split and lse is not given twice, in three, as the sums of
/// exponentials are found first. No allocation, capturable.
/// workspace: attention_mass_bytes<Executor>(shape, given, group_threads) bytes on a 64-byte boundary.
template <executor Executor>
void attention_mass(Executor const& on, cache_shape const& shape, observation_window const& given, float* mass, std::size_t pitch,
                    std::byte* workspace, std::size_t workspace_bytes, std::uint32_t group_threads = 1) {
  check(shape);
  require(given.window >= 1 && given.window <= given.tokens, "window", given.window, "give 1 to as many queries as there are tokens");
  require(pitch >= given.tokens, "pitch", pitch, "give rows at least as long as the prompt");
  auto const plan = detail::mass_plan::carve(workspace, shape, given, group_threads, splits_rows<space_of<Executor>>);
  require(workspace_bytes >= plan.bytes, "workspace_bytes", workspace_bytes, "give what attention_mass_bytes says");
  std::uint32_t const rows = shape.layer_rows();
  mass_of_window window{shape, given, plan.blocks, plan.block_bytes, group_threads, plan.parts, plan.partial};
  if (plan.lse != nullptr) {
    on.launch(rows * plan.parts, window_sums_task{window});
    on.launch(rows, window_lse_task{window, plan.lse});
    window.given.lse = plan.lse;
  }
  on.launch(rows * plan.parts, attention_mass_task{window, mass, pitch});
}

}  // namespace kvsift
