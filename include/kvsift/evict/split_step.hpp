#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/chunked_attention.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/evict/append_row.hpp>
#include <kvsift/evict/arrivals.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/feed_columns.hpp>
#include <kvsift/evict/workspace.hpp>
#include <kvsift/exec/block_memory.hpp>
#include <kvsift/payload/plain.hpp>

// A decode step whose rows are shared by several blocks: one task attends to chunks, the next puts them together. Both have one block
// per (sequence, KV head, chunk) for as many chunks as the longest row may come to have: how many a row has stands in its state.
namespace kvsift {

namespace detail {

/// The part of a row that is one block's.
template <class Row>
struct row_chunk {
  Row row;
  std::uint32_t index;  ///< of the row, among those of the step
  std::uint32_t number;
  std::uint32_t first;  ///< slot

  /// How many of `held` slots lie in it.
  KVSIFT_HOST_DEVICE std::uint32_t slots(std::uint32_t held) const {
    return held <= first ? 0 : held - first < chunk_slots ? held - first : chunk_slots;
  }
};

/// What both tasks are given, and what they make of a block's number. The row's state is what it was before the step until the second
/// task is over; what it is then stands in the workspace from the first on, so that blocks need not wait for one another.
template <class Bound>
struct split_step {
  Bound cache;
  arrivals piece;  ///< one token; no keys: nothing is written
  float* out;
  std::uint32_t layer;
  bool silent;  ///< see step_task

  KVSIFT_HOST_DEVICE std::uint32_t written() const { return piece.keys != nullptr ? 1 : 0; }
  KVSIFT_HOST_DEVICE std::uint32_t unfed() const { return silent ? 1 : 0; }

  KVSIFT_HOST_DEVICE auto chunk(std::uint32_t block) const {
    std::uint32_t const chunks = cache.work.row_chunks, index = block / chunks, number = block % chunks;
    auto const row = cache.planes.row(cache.row_number(layer, index));
    return row_chunk<std::remove_cv_t<decltype(row)>>{row, index, number, number * chunk_slots};
  }
  /// Floats before what belongs to a row, in queries and output.
  template <class Row>
  KVSIFT_HOST_DEVICE std::size_t begin(Row const& row) const {
    cache_shape const& shape = cache.planes.shape;
    return (piece.first(row.sequence) * shape.query_heads() + std::size_t{row.head} * shape.group) * shape.head_dim;
  }
};

/// What the block works in that puts chunks together. With a null base it only counts.
struct merge_memory {
  float* by_lane = nullptr;   ///< [2, group, chunk_lanes]
  float* highest = nullptr;   ///< [group]
  float* inverses = nullptr;  ///< [group]
  float* factors = nullptr;   ///< [group]
  float* masses = nullptr;    ///< [chunk_slots]
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static merge_memory carve(std::byte* base, std::uint32_t group) {
    merge_memory m;
    carver memory{base};
    m.by_lane = memory.take<float>(std::size_t{2} * group * chunk_lanes);
    m.highest = memory.take<float>(group);
    m.inverses = memory.take<float>(group);
    m.factors = memory.take<float>(group);
    m.masses = memory.take<float>(chunk_slots);
    m.bytes = memory.bytes;
    return m;
  }
};

}  // namespace detail

/// Writes a token, and attends to the slots of one chunk; the chunk that the token's slot lies in writes it. Reads K and V once for the
/// query heads of a Reading (slice_reading). Leaves weights where columns feed on attention, and the chunk's results.
template <class Reading, class Payload, class Bound>
struct attend_chunk_task {
  detail::split_step<Bound> step;

  std::size_t block_bytes(std::uint32_t threads) const { return memory(nullptr, threads).bytes; }

  template <group_with_memory G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    auto const& cache = step.cache;
    cache_shape const& shape = cache.planes.shape;
    auto const at = step.chunk(block);
    auto const& row = at.row;
    if (cache.passes_over(row.sequence)) return;
    std::uint32_t const slot = row.state->held;
    row_state const after = state_after(*row.state, step.written(), step.unfed());
    if (at.number == 0 && g.thread_rank() == 0) cache.work.after[at.index] = after;
    std::uint32_t const n = at.slots(after.held);
    if (n == 0) return;
    if (step.written() != 0 && slot / chunk_slots == at.number)
      write_token<Payload>(g, cache.planes, row, step.piece.at(shape, row.sequence, row.head, 0, row.state->next), slot);
    auto const own = row.from(at.first);
    chunk_memory const m = memory(g.memory(), g.num_threads());
    row_scratch scratch{};
    scratch.queries = m.queries;
    scratch.partial = m.parts;
    scratch.logits = m.logits;
    scratch.pitch = chunk_slots;
    using stored = detail::in_planes<Payload>;
    logits_of_queries<Payload>(g, shape, own, cache.reading, n, after.held - 1, after.next - 1, 1, step.piece.queries + step.begin(row), 0, scratch,
                               [&](float const* queries, auto const& keys, float*) {
                                 logits_of_chunk<Reading, stored>(g, queries, shape.group, shape.head_dim, keys, n, m);
                               });
    float* const results = cache.work.chunk(block);
    add_chunk<Reading, stored>(g, shape.group, own.values, n, shape.head_dim, m, results + 2 * shape.group, [&] {
      weigh_chunk(g, m.logits, shape.group, n, m.by_lane, results, results + shape.group);
      if constexpr (Bound::columns::feeds_on_attention) {
        row_scratch const kept = cache.scratch(at.index);
        for (std::uint32_t h = 0; h < shape.group; ++h)
          for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads())
            kept.logits[h * kept.pitch + at.first + i] = m.logits[h * chunk_slots + i];
      }
      g.sync();
    });
  }

 private:
  KVSIFT_HOST_DEVICE chunk_memory memory(std::byte* base, std::uint32_t threads) const {
    cache_shape const& shape = step.cache.planes.shape;
    return chunk_memory::carve(base, shape.group, shape.head_dim, threads);
  }
};

/// Puts the chunks of a row together, feeds the columns of one chunk with its attention, and writes the row's state. Reads the columns
/// once, and the weights that attend_chunk_task left.
template <class Bound>
struct merge_chunks_task {
  detail::split_step<Bound> step;

  std::size_t block_bytes(std::uint32_t) const { return detail::merge_memory::carve(nullptr, step.cache.planes.shape.group).bytes; }

  template <group_with_memory G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    auto const& cache = step.cache;
    cache_shape const& shape = cache.planes.shape;
    auto at = step.chunk(block);
    if (cache.passes_over(at.row.sequence)) return;
    row_state* const after = cache.work.after + at.index;
    std::uint32_t const held = after->held, n = at.slots(held);
    if (at.number == 0 && g.thread_rank() == 0) *at.row.state = *after;
    at.row.state = after;
    float* const out = step.out + step.begin(at.row);
    if (at.number == 0 && held == 0)
      for (std::uint32_t i = g.thread_rank(); i < shape.group * shape.head_dim; i += g.num_threads()) out[i] = 0;
    if (n == 0) return;
    detail::merge_memory const m = detail::merge_memory::carve(g.memory(), shape.group);
    chunk_results const all{cache.work.chunk(block - at.number), chunk_results::floats(shape.group, shape.head_dim), shape.group, shape.head_dim,
                            chunks_of(held)};
    row_softmax const softmax{m.highest, m.inverses};
    find_softmax(g, all, m.by_lane, softmax);
    merge_values(g, all, softmax, at.number, out);
    if constexpr (Bound::columns::feeds_on_attention) {
      if (!feeds_columns(*after, step.unfed())) return;
      for (std::uint32_t h = g.thread_rank(); h < shape.group; h += g.num_threads()) m.factors[h] = softmax.factor(all, at.number, h);
      g.sync();
      row_scratch const kept = cache.scratch(at.index);
      float const* const weights = kept.logits + at.first;
      for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
        float sum = weights[i] * m.factors[0];
        for (std::uint32_t h = 1; h < shape.group; ++h) sum += weights[h * kept.pitch + i] * m.factors[h];
        m.masses[i] = sum / static_cast<float>(shape.group);
      }
      g.sync();
      head_context const about = at.row.context(held < after->limit ? held : after->limit);
      feed_columns(g, cache.planes.stored, at.row.from(at.first), about, detail::mass_of_query{m.masses}, n);
    }
  }
};

}  // namespace kvsift
