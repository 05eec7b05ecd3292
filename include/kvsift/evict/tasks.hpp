#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/cache/storage.hpp>
#include <kvsift/evict/append_row.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/cut.hpp>
#include <kvsift/evict/feed_columns.hpp>
#include <kvsift/evict/staging.hpp>
#include <kvsift/evict/workspace.hpp>

namespace kvsift {

/// Brings rows of several layers under their limit. One block per row, or per (layer, sequence) if the heads decide together.
/// Payload: a disposed_payload.
template <class Payload, class Bound, class Columns, class Rule>
struct cut_task {
  Bound cache;
  Rule rule;
  std::uint32_t first_layer;
  cut_depth depth;
  arrivals piece;  ///< of the token that room is made for, if one is

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    std::uint32_t const heads = rule.who == unit::shared ? shape.kv_heads : 1;
    std::uint32_t const first = cache.row_of(first_layer, block, heads);
    if (cache.passes_over(first / shape.kv_heads % shape.sequences)) return;
    auto const& work = cache.work;
    cut_rows<Payload>(g, deciding_rows<Columns, typename Bound::placement>{cache.planes, first, heads, piece}, rule,
                      cache.disposal, depth, work.sums_of(block), work.words + std::size_t{block} * 2 * work.threads);
  }
};

/// Writes a piece of tokens into the rows of a layer and attends to it; every row makes room first if `rule` says so.
/// One block per (sequence, KV head).
template <class Payload, class Bound, class Columns, class Rule>
struct step_task {
  Bound cache;
  Rule rule;
  arrivals piece;  ///< no keys: nothing is written
  float* out;      ///< null: nothing is attended to
  std::uint32_t layer;
  bool silent = false;  ///< a piece that fits feeds no column if none was fed before

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    std::uint32_t const index = cache.row_number(layer, block);
    auto const row = cache.planes.row(index);
    if (cache.passes_over(row.sequence)) return;
    row_scratch const scratch = cache.scratch(block);
    std::uint32_t const tokens = piece.tokens;
    if constexpr (!std::is_same_v<Rule, no_rule>)
      if (piece.keys != nullptr)
        cut_rows<disposed_payload<Payload, decltype(cache.disposal)>>(
            g, deciding_rows<Columns, typename Bound::placement>{cache.planes, index, 1, piece}, rule, cache.disposal,
            cut_depth{.room = 1}, cache.work.sums_of(block), scratch.group_words);
    std::uint32_t const written = piece.keys != nullptr ? tokens : 0, unfed = out != nullptr && silent ? tokens : 0;
    row_state const after = state_after(*row.state, written, unfed);
    g.sync();
    for (std::uint32_t t = 0; t < written; ++t)
      append_row<Payload>(g, cache.planes, row, piece.at(shape, row.sequence, row.head, t, row.state->next));
    if (g.thread_rank() == 0) *row.state = after;
    g.sync();
    if (out == nullptr) return;
    std::uint32_t const held = after.held;
    head_context const about = row.context(held < after.limit ? held : after.limit);
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    std::size_t const begin = piece.first(row.sequence) * queries + std::size_t{row.head} * shape.group * shape.head_dim;
    attend_piece<Payload>(g, shape, cache.planes.stored, row, cache.reading, held - tokens, tokens, piece.queries + begin,
                          out + begin, about, scratch, feeds_columns(after, unfed));
  }
};

/// Feeds the columns of a layer with attention that the engine computed. masses [sequences, kv_heads, pitch].
template <class Bound>
struct observe_task {
  Bound cache;
  float const* masses;
  std::size_t pitch;
  std::uint32_t layer;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    auto const row = cache.planes.row(cache.row_number(layer, block));
    if (cache.passes_over(row.sequence)) return;
    std::uint32_t const held = row.state->held;
    head_context const about = row.context(held < row.state->limit ? held : row.state->limit);
    feed_columns(g, cache.planes.stored, row, about, detail::mass_of_query{masses + block * pitch}, held);
  }
};

/// Says which sequences are paused. One block.
template <class Bound>
struct pause_task {
  Bound cache;
  std::uint32_t paused;  ///< 1, or 0: they go on

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t) const {
    for (std::uint32_t i = g.thread_rank(); i < cache.who.count; i += g.num_threads()) cache.tables.paused[cache.who.first + i] = paused;
  }
};

/// Lets sequences be as they were before their first token: rows are empty, have the limits and lie where the plan says, and their pages are
/// free. One block per (layer, sequence).
template <class Bound>
struct clear_task {
  Bound cache;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    auto const& planes = cache.planes;
    std::uint32_t const heads = planes.shape.kv_heads, layer = block / cache.who.count, first = cache.row_of(0, block, heads);
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
      auto const row = planes.row(first + h);
      give_back_slots(planes, row, row.state->held, 0);
    }
    g.sync();
    std::uint32_t const* const limits = cache.tables.limits + layer * heads;
    std::uint32_t const* const rooms = cache.tables.rooms + layer * heads;
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
      planes.states[first + h] = {0, 0, 0, limits[h]};
      if (planes.fell != nullptr) planes.fell[first + h] = 0;
      if (planes.firsts == nullptr || h == 0) continue;
      std::uint64_t at = planes.firsts[first];
      for (std::uint32_t before = 0; before < h; ++before) at += whole(rooms[before], Bound::placement::grain);
      planes.firsts[first + h] = at;
    }
  }
};

}  // namespace kvsift
