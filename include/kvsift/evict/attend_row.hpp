#pragma once

#include <cstddef>
#include <cmath>
#include <cstdint>

#include <kvsift/cache/row.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/attention.hpp>
#include <kvsift/collective/softmax.hpp>
#include <kvsift/collective/turned_attention.hpp>
#include <kvsift/core/exact.hpp>
#include <kvsift/core/key_reading.hpp>
#include <kvsift/core/recipe.hpp>
#include <kvsift/evict/feed_columns.hpp>
#include <kvsift/evict/scratch.hpp>

namespace kvsift {

namespace detail {

struct float_components {
  float const* x;
  float factor;
  KVSIFT_HOST_DEVICE float operator()(std::uint32_t d) const { return x[d] * factor; }
};

/// Where a slot stands in a cache that renumbers: slots of a prompt in flight are in order.
template <class Row>
struct rank_of_slot {
  Row const& row;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return row.ranks == nullptr ? slot : row.ranks[slot]; }
};

/// Logits [heads, n] of the queries whose keys count where they stand: slope x places between them goes off. The queries stand at
/// first_place, first_place + 1, ...
template <cooperative_group G, class Row>
KVSIFT_HOST_DEVICE void add_bias(G const& g, cache_shape const& shape, Row const& row, key_reading const& reading, std::uint32_t heads, std::uint32_t n,
                                 std::uint32_t first_place, row_scratch const& scratch) {
  for (std::uint32_t h = 0; h < heads; ++h) {
    float const slope = reading.bias.slope(row.head * shape.group + h % shape.group, shape.query_heads());
    std::uint32_t const query = first_place + h / shape.group;
    for (std::uint32_t slot = g.thread_rank(); slot < n; slot += g.num_threads()) {
      std::uint32_t const key = reading.ranked ? rank_of_slot<Row>{row}(slot) : row.positions[slot];
      scratch.logits[h * scratch.pitch + slot] -= slope * static_cast<float>(static_cast<std::int32_t>(query - key));
    }
  }
}

/// Logits of the sinks against queries that stand at their rank: those in scratch.queries, which were turned to their positions,
/// turned back by the places between. Works in scratch.partial.
template <class Payload, cooperative_group G, class Row>
KVSIFT_HOST_DEVICE void sink_logits(G const& g, std::uint32_t dim, Row const& row, key_reading const& reading, std::uint32_t heads, std::uint32_t n,
                                    std::uint32_t apart, row_scratch const& scratch) {
  for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
    float* const q = scratch.partial + h * dim;
    for (std::uint32_t d = 0; d < dim; ++d) q[d] = scratch.queries[h * dim + d];
    reading.table.turn_back(q, apart);
  }
  g.sync();
  for (std::uint32_t slot = g.thread_rank(); slot < n; slot += g.num_threads()) {
    if (row.positions[slot] >= reading.sinks) continue;
    for (std::uint32_t h = 0; h < heads; ++h)
      scratch.logits[h * scratch.pitch + slot] = dot<Payload>(scratch.partial + h * dim, row.keys.at(slot), dim);
  }
}

}  // namespace detail

/// Logits of `count` queries that follow one another, of every head of the group, against the first n slots of `row`: a row, or
/// what follows a slot of one. The first query stands at first_position, and at rank first_rank.
///   q [count, .. group of .., head_dim], token_stride floats from query to query; count at most queries_at_once
/// Left in scratch.logits [count x group, pitch]. Keys are read as `reading` says, each once; where that is as they are stored,
/// logits_of_stored(queries, keys, logits) does it.
template <class Payload, cooperative_group G, class Columns, class Placement, class LogitsOfStored>
KVSIFT_HOST_DEVICE void logits_of_queries(G const& g, cache_shape const& shape, row_view<Columns, Placement> const& row, key_reading const& reading,
                                          std::uint32_t n, std::uint32_t first_rank, std::uint32_t first_position, std::uint32_t count,
                                          float const* q, std::size_t token_stride, row_scratch const& scratch,
                                          LogitsOfStored const& logits_of_stored) {
  std::uint32_t const dim = shape.head_dim;
  std::uint32_t const heads = count * shape.group;
  float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
  bool const by_rank = reading.how == key_reading::way::by_rank;
  auto const given = [&](std::uint32_t h) {
    return detail::float_components{q + h / shape.group * token_stride + (h % shape.group) * dim, scale};
  };
  if (by_rank) {
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads())
      reading.table.rotate(given(h), dim, first_rank + h / shape.group, scratch.queries + h * dim);
  } else {
    for (std::uint32_t h = 0; h < heads; ++h) {
      detail::float_components const own = given(h);
      for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) scratch.queries[h * dim + d] = own(d);
    }
  }
  g.sync();
  if (by_rank)
    turned_logits<Payload>(g, scratch.queries, heads, dim, row.keys, detail::rank_of_slot<row_view<Columns, Placement>>{row}, reading.table, n, scratch.logits, scratch.pitch);
  else
    logits_of_stored(scratch.queries, row.keys, scratch.logits);
  g.sync();
  if (std::uint32_t const apart = first_position - first_rank; reading.how == key_reading::way::two_queries && apart != 0) {
    detail::sink_logits<Payload>(g, dim, row, reading, heads, n, apart, scratch);
    g.sync();
  }
  if (!reading.bias.none()) {
    detail::add_bias(g, shape, row, reading, heads, n, reading.ranked ? first_rank : first_position, scratch);
    g.sync();
  }
}

/// Attention of `count` queries that follow one another, of every head of the group: query i sees the first
/// first_n + i slots of the row, the last of which is its own.
///   q, out [count, .. group of .., head_dim], token_stride floats from query to query; count at most queries_at_once
///   out = softmax(q . k / sqrt(head_dim)) v, probabilities left in scratch.logits [count x group, pitch].
/// Keys are read as `reading` says; first_position is that of the first query. Reads K and V once.
template <class Payload, cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void attend_rows(G const& g, cache_shape const& shape, row_view<Columns, Placement> const& row, key_reading const& reading,
                                    std::uint32_t first_n, std::uint32_t first_position, std::uint32_t count, float const* q, float* out,
                                    std::size_t token_stride, row_scratch const& scratch) {
  std::uint32_t const dim = shape.head_dim;
  std::uint32_t const heads = count * shape.group;
  for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads())
    for (std::uint32_t d = 0; d < dim; ++d) scratch.sums[h * dim + d] = 0;
  logits_of_queries<Payload>(g, shape, row, reading, first_n + count - 1, first_n - 1, first_position, count, q, token_stride, scratch,
                             [&](float const* queries, auto const& keys, float* logits) {
                               logits_of<Payload>(g, queries, heads, dim, keys, first_n + count - 1, logits, scratch.pitch);
                             });
  for (std::uint32_t h = 0; h < heads; ++h)
    softmax(g, scratch.logits + h * scratch.pitch, first_n + h / shape.group, scratch.lane_sums, scratch.group_words);
  // Blocks that all queries see whole are walked once for all, the rest for each.
  std::uint32_t const shared = count > 1 ? first_n / block_slots * block_slots : 0;
  add_weighted_sums<Payload>(g, scratch.logits, scratch.pitch, heads, row.values, 0, shared, dim, scratch.partial, scratch.sums);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::size_t const first = std::size_t{i} * shape.group;
    add_weighted_sums<Payload>(g, scratch.logits + first * scratch.pitch, scratch.pitch, shape.group, row.values, shared,
                               first_n + i, dim, scratch.partial, scratch.sums + first * dim);
    for (std::uint32_t d = g.thread_rank(); d < shape.group * dim; d += g.num_threads())
      out[i * token_stride + d] = scratch.sums[first * dim + d];
  }
  g.sync();
}

/// a[slot] = mean over the group of one query's probabilities p [group, pitch]. a [n].
template <cooperative_group G>
KVSIFT_HOST_DEVICE void group_mean(G const& g, std::uint32_t group, float const* p, std::size_t pitch, std::uint32_t n,
                                   float* a) {
  float const heads = static_cast<float>(group);
  for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
    float sum = p[i];
    for (std::uint32_t h = 1; h < group; ++h) sum += p[h * pitch + i];
    a[i] = sum / heads;
  }
  g.sync();
}

/// a[slot] = the numbers of a group's heads x [group, pitch], reduced. a [n].
template <cooperative_group G>
KVSIFT_HOST_DEVICE void reduce_group(G const& g, group_reduction how, std::uint32_t group, float const* x, std::size_t pitch,
                                     std::uint32_t n, float* a) {
  for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
    float result = x[i];
    for (std::uint32_t h = 1; h < group; ++h) {
      float const next = x[h * pitch + i];
      result = how == group_reduction::max ? (next > result ? next : result) : result + next;
    }
    a[i] = how == group_reduction::mean ? result / static_cast<float>(group) : result;
  }
  g.sync();
}

/// Causal attention of a piece of queries whose keys are the last slots of the row, and the evidence it gives.
///   queries [tokens, kv_heads x group, head_dim] from this row's first head on; out likewise.
/// Query i sees the first `before` slots and those of tokens 0 .. i. Evidence: scratch.evidence [5, pitch]; it feeds the
/// columns if `feeds` says so.
template <class Payload, cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void attend_piece(G const& g, cache_shape const& shape, Columns const& stored,
                                     row_view<Columns, Placement> const& row, key_reading const& reading, std::uint32_t before,
                                     std::uint32_t tokens, float const* queries, float* out, head_context const& about,
                                     row_scratch const& scratch, bool feeds = true) {
  std::size_t const token_stride = std::size_t{shape.query_heads()} * shape.head_dim;
  std::uint32_t const all = before + tokens, first_position = row.state->next - tokens;
  asked_evidence const asked = stored.asked();
  std::uint32_t const young = asked.young > 0 ? slots_of_part(asked.young, tokens) : 0;
  bool const by_head = asked.window != 0 && asked.window_reduction != group_reduction::mean;  // scratch.window is there
  if (tokens == 1) {
    attend_rows<Payload>(g, shape, row, reading, all, first_position, 1, queries, out, token_stride, scratch);
    if constexpr (Columns::feeds_on_attention) {
      if (!feeds) return;
      float const* a = scratch.logits;
      if (shape.group > 1) {
        group_mean(g, shape.group, scratch.logits, scratch.pitch, all, scratch.evidence);
        a = scratch.evidence;
      }
      feed_columns(g, stored, row, about, detail::mass_of_query{a}, all);
    }
    return;
  }
  std::size_t const pitch = scratch.pitch;
  float* const evidence = scratch.evidence;
  for (std::size_t i = g.thread_rank(); i < 5 * pitch; i += g.num_threads()) evidence[i] = 0;
  for (std::size_t i = g.thread_rank(); by_head && i < shape.group * pitch; i += g.num_threads()) scratch.window[i] = 0;
  g.sync();
  std::uint32_t const at_once = queries_at_once(shape);
  for (std::uint32_t first = 0; first < tokens; first += at_once) {
    std::uint32_t const count = tokens - first < at_once ? tokens - first : at_once;
    attend_rows<Payload>(g, shape, row, reading, before + first + 1, first_position + first, count,
                         queries + first * token_stride, out + first * token_stride, token_stride, scratch);
    if constexpr (Columns::feeds_on_attention) {
      if (!feeds) continue;
      float* const a = evidence + 2 * pitch;  // the newest query's row
      for (std::uint32_t t = first; t < first + count; ++t) {
        std::uint32_t const n = before + t + 1;
        float const* const p = scratch.logits + std::size_t{t - first} * shape.group * pitch;
        group_mean(g, shape.group, p, pitch, n, a);
        bool const observing = t + asked.window >= tokens;
        for (std::uint32_t h = 0; observing && by_head && h < shape.group; ++h)
          for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) scratch.window[h * pitch + i] += p[h * pitch + i];
        for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
          evidence[i] += a[i];
          evidence[pitch + i] += rounded_square(a[i]);
          if (observing) evidence[3 * pitch + i] += a[i];
        }
        std::uint32_t const young_from = n > young ? n - young : 0;
        for (std::uint32_t i = young_from + g.thread_rank(); i < n; i += g.num_threads()) evidence[4 * pitch + i] += a[i];
        g.sync();
      }
    }
  }
  if constexpr (Columns::feeds_on_attention) {
    if (!feeds) return;
    if (by_head) reduce_group(g, asked.window_reduction, shape.group, scratch.window, pitch, all, evidence + 3 * pitch);
    feed_columns(g, stored, row, about, detail::mass_of_piece{evidence, pitch, before, tokens}, all);
  }
}

}  // namespace kvsift
