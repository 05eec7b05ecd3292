#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/chunked_attention.hpp>
#include <kvsift/evict/append_row.hpp>
#include <kvsift/evict/arrivals.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/feed_columns.hpp>
#include <kvsift/evict/workspace.hpp>
#include <kvsift/payload/plain.hpp>

// A decode step whose rows are shared by several blocks: one task attends to chunks, the next puts them together. Both have one block
// per (sequence, KV head, chunk) for as many chunks as the longest row may come to have: how many a row has stands in its state.
namespace kvsift {

namespace detail {

/// What both tasks are given, and what they make of a block's number. The row's state is what it was before the step until the second
/// task is over; what it is then stands in the workspace from the first on, so that blocks need not wait for one another.
template <class Bound>
struct split_step {
  Bound cache;
  arrivals piece;  ///< one token; no keys: nothing is written
  float* out;
  std::uint32_t layer;
  bool silent;  ///< see step_task

  struct place {
    std::uint32_t row;    ///< within the layer
    std::uint32_t chunk;
    std::uint32_t first;  ///< slot of the chunk
  };
  KVSIFT_HOST_DEVICE place of(std::uint32_t block) const {
    std::uint32_t const chunks = cache.work.row_chunks;
    return {block / chunks, block % chunks, block % chunks * chunk_slots};
  }
  KVSIFT_HOST_DEVICE auto row(place const& at) const { return cache.planes.row(layer * cache.planes.shape.layer_rows() + at.row); }
  /// Floats before what belongs to a row, in queries and output.
  template <class Row>
  KVSIFT_HOST_DEVICE std::size_t begin(Row const& row) const {
    cache_shape const& shape = cache.planes.shape;
    return (piece.first(row.sequence) * shape.query_heads() + std::size_t{row.head} * shape.group) * shape.head_dim;
  }
  /// The row's state when the token has been written.
  KVSIFT_HOST_DEVICE row_state after(row_state const& before) const {
    row_state s = before;
    if (piece.keys != nullptr) {
      if (s.next == 0) s.observed_from = 0;
      ++s.held;
      ++s.next;
    }
    if (silent && s.held <= s.limit && s.fed_from == s.next - 1) s.fed_from = s.next;
    return s;
  }
};

}  // namespace detail

/// Writes a token, and attends to the slots of one chunk; the chunk that the token's slot lies in writes it. Reads K and V once.
template <class Payload, class Bound>
struct attend_chunk_task {
  detail::split_step<Bound> step;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    auto const at = step.of(block);
    auto const& cache = step.cache;
    cache_shape const& shape = cache.planes.shape;
    auto const row = step.row(at);
    std::uint32_t const slot = row.state->held;
    row_state const after = step.after(*row.state);
    if (at.chunk == 0 && g.thread_rank() == 0) cache.work.after[at.row] = after;
    if (at.first >= after.held) return;
    if (step.piece.keys != nullptr && slot / chunk_slots == at.chunk)
      write_token<Payload>(g, cache.planes, row, step.piece.at(shape, row.sequence, row.head, 0, row.state->next), slot);
    std::uint32_t const n = after.held - at.first < chunk_slots ? after.held - at.first : chunk_slots;
    auto const own = row.from(at.first);
    chunk_scratch const part = cache.work.chunk(shape, at.row, at.chunk);
    row_scratch scratch = cache.scratch(at.row);
    scratch.queries = part.queries;
    scratch.partial = part.parts;
    scratch.logits += at.first;
    using stored = detail::in_planes<Payload>;
    logits_of_queries<Payload>(g, shape, own, cache.reading, n, after.held - 1, after.next - 1, 1, step.piece.queries + step.begin(row), 0, scratch,
                               [&](float const* queries, auto const& keys, float* logits) {
                                 logits_of_chunk<stored>(g, queries, shape.group, shape.head_dim, keys, n, logits, scratch.pitch);
                               });
    weigh_chunk(g, scratch.logits, scratch.pitch, shape.group, n, part.by_lane, part.results, part.results + shape.group);
    add_chunk<stored>(g, scratch.logits, scratch.pitch, shape.group, own.values, n, shape.head_dim, part.parts, part.results + 2 * shape.group);
  }
};

/// Puts the chunks of a row together, feeds the columns of one chunk with its attention, and writes the row's state. Reads the columns
/// once, and the weights that attend_chunk_task left.
template <class Bound, class Columns>
struct merge_chunks_task {
  detail::split_step<Bound> step;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    auto const at = step.of(block);
    auto const& cache = step.cache;
    cache_shape const& shape = cache.planes.shape;
    auto row = step.row(at);
    row_state* const after = cache.work.after + at.row;
    std::uint32_t const held = after->held;
    if (at.chunk == 0 && g.thread_rank() == 0) *row.state = *after;
    row.state = after;
    float* const out = step.out + step.begin(row);
    if (at.chunk == 0 && held == 0)
      for (std::uint32_t i = g.thread_rank(); i < shape.group * shape.head_dim; i += g.num_threads()) out[i] = 0;
    if (at.first >= held) return;
    chunk_scratch const part = cache.work.chunk(shape, at.row, at.chunk);
    chunk_results const all{cache.work.chunk(shape, at.row, 0).results, cache.work.chunk_bytes / sizeof(float), shape.group, shape.head_dim,
                            chunks_of(held)};
    row_softmax const softmax{part.highest, part.inverses};
    find_softmax(g, all, part.by_lane, softmax);
    merge_values(g, all, softmax, at.chunk, out);
    if constexpr (Columns::feeds_on_attention) {
      if (step.silent && after->fed_from == after->next) return;
      std::uint32_t const n = held - at.first < chunk_slots ? held - at.first : chunk_slots;
      float* const factors = part.by_lane;
      for (std::uint32_t h = g.thread_rank(); h < shape.group; h += g.num_threads()) factors[h] = softmax.factor(all, at.chunk, h);
      g.sync();
      row_scratch const scratch = cache.scratch(at.row);
      float const* const weights = scratch.logits + at.first;
      float* const a = scratch.evidence + at.first;
      for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
        float sum = weights[i] * factors[0];
        for (std::uint32_t h = 1; h < shape.group; ++h) sum += weights[h * scratch.pitch + i] * factors[h];
        a[i] = sum / static_cast<float>(shape.group);
      }
      g.sync();
      head_context const about = row.context(held < after->limit ? held : after->limit);
      feed_columns(g, cache.planes.stored, row.from(at.first), about, detail::mass_of_query{a}, n);
    }
  }
};

}  // namespace kvsift
