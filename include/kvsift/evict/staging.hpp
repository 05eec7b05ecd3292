#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/moves.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/evict/append_row.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/cut.hpp>
#include <kvsift/payload/plain.hpp>

namespace kvsift {

/// No vector is stored: the staging rows of a prompt keep columns only, keys and values stay where the caller has them.
struct no_payload {
  KVSIFT_HOST_DEVICE static constexpr std::size_t bytes(std::uint32_t) { return 0; }
};

/// A piece of tokens that arrives for one layer.
///   queries [sequences, tokens, kv_heads x group, head_dim], keys and values [sequences, tokens, kv_heads, head_dim]
struct arrivals {
  float const* queries = nullptr;
  float const* keys = nullptr;
  float const* values = nullptr;
  std::uint32_t tokens = 0;
};

/// The rows of one layer while a prompt is in flight that will not fit: slots 0 .. tokens-1 in position order.
template <class Columns>
struct staging_rows {
  cache_view<no_payload, Columns> planes;  ///< [one layer, sequences, kv_heads, tokens]
  arrivals piece;
  std::uint32_t layer = 0;
  std::uint32_t first = 0;  ///< row within the layer
  std::uint32_t heads = 1;

  KVSIFT_HOST_DEVICE row_view<Columns> operator()(std::uint32_t h) const {
    cache_shape const& shape = planes.shape;
    row_view<Columns> row = planes.row(first + h);
    std::size_t const stride = std::size_t{shape.kv_heads} * shape.head_dim;
    std::size_t const begin = row.sequence * piece.tokens * stride + std::size_t{row.head} * shape.head_dim;
    row.keys = {reinterpret_cast<std::byte*>(const_cast<float*>(piece.keys + begin)), stride * sizeof(float)};
    row.values = {reinterpret_cast<std::byte*>(const_cast<float*>(piece.values + begin)), stride * sizeof(float)};
    row.layer = layer;
    return row;
  }
};

/// Attention of a prompt that will not fit, over the caller's own arrays; columns are fed in the workspace.
/// One block per (sequence, KV head).
template <class Payload, class Columns>
struct stage_task {
  cache_view<Payload, Columns> cache;
  staging_rows<Columns> staging;
  rotary_view rotary;
  float* out;
  std::byte* workspace;
  std::size_t block_bytes;
  std::size_t slots;
  std::uint32_t threads;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.shape;
    row_scratch const scratch = row_scratch::carve(workspace + block * block_bytes, shape, slots, threads, staging.piece.tokens);
    row_view<Columns> const row = staging(block);
    row_state const target = *cache.row(staging.layer * shape.layer_rows() + block).state;
    std::uint32_t const tokens = staging.piece.tokens;
    if (g.thread_rank() == 0)
      *row.state = {tokens, target.next + tokens, target.next + tokens - 1, target.limit};
    g.sync();
    for (std::uint32_t t = g.thread_rank(); t < tokens; t += g.num_threads()) {
      row.positions[t] = target.next + t;
      float const* const key = reinterpret_cast<float const*>(row.keys.at(t));
      float const* const value = reinterpret_cast<float const*>(row.values.at(t));
      cache.stored.for_each(detail::admitter<Columns>{row, t, arrival{key, value, shape.head_dim, target.next + t},
                                                      row.context(tokens)});
    }
    g.sync();
    head_context const about = row.context(tokens < target.limit ? tokens : target.limit);
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    std::size_t const begin = row.sequence * tokens * queries + std::size_t{row.head} * shape.group * shape.head_dim;
    attend_piece<plain<float>>(g, shape, cache.stored, row, rotary, 0, tokens, staging.piece.queries + begin,
                               out + begin, about, scratch);
  }
};

/// Cuts a staged prompt down to the limit and writes the survivors, in position order, into the cache.
/// One block per (sequence, KV head), or per sequence if the heads decide together.
template <class Payload, class Columns, class Rule>
struct settle_task {
  cache_view<Payload, Columns> cache;
  staging_rows<Columns> staging;
  Rule rule;
  float* sums;  ///< [sequences, 2, slots]
  std::byte* workspace;
  std::size_t block_bytes;
  std::size_t slots;
  std::uint32_t threads;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.shape;
    std::uint32_t const heads = rule.who == unit::shared ? shape.kv_heads : 1;
    row_scratch const scratch = row_scratch::carve(workspace + block * block_bytes, shape, slots, threads, staging.piece.tokens);
    staging_rows<Columns> rows = staging;
    rows.first = block * heads;
    rows.heads = heads;
    auto const first = rows(0);
    std::uint32_t const held = first.state->held;
    std::uint32_t const kept = held < first.state->limit ? held : first.state->limit;
    detail::with_candidates(g, rows, rule, sums + block * 2 * slots, [&](auto const& c) {
      choose_many(g, c, held - kept, rule.ranked, scratch.keys, scratch.places, scratch.group_words);
      return 0u;
    });
    if (g.thread_rank() == 0) {  // marks become the list of the survivors
      std::uint32_t count = 0;
      for (std::uint32_t i = 0; i < held; ++i)
        if (scratch.places[i] == 0) scratch.keys[count++] = i;
    }
    g.sync();
    for (std::uint32_t h = 0; h < heads; ++h) {
      row_view<Columns> const from = rows(h);
      row_view<Columns> const to = cache.row(staging.layer * shape.layer_rows() + rows.first + h);
      for (std::uint32_t j = 0; j < kept; ++j) {
        std::uint32_t const source = scratch.keys[j];
        float const* const key = reinterpret_cast<float const*>(from.keys.at(source));
        float const* const value = reinterpret_cast<float const*>(from.values.at(source));
        for (std::uint32_t d = g.thread_rank(); d < shape.head_dim; d += g.num_threads()) {
          Payload::store(to.keys.at(j), d, key[d]);
          Payload::store(to.values.at(j), d, value[d]);
        }
        move_columns(g, cache.stored, from, source, to, j);
        if (g.thread_rank() == 0) {
          to.positions[j] = from.positions[source];
          if (to.ranks != nullptr) to.ranks[j] = j;
        }
      }
      if (g.thread_rank() == 0) {
        to.state->held = kept;
        to.state->next = from.state->next;
        to.state->observed_from = from.state->observed_from;
      }
      g.sync();
    }
  }
};

}  // namespace kvsift
