#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/chunked_attention.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/key_reading.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/evict/plan.hpp>
#include <kvsift/evict/scratch.hpp>
#include <kvsift/evict/sequences.hpp>
#include <kvsift/exec/block_memory.hpp>
#include <kvsift/policy/policy.hpp>

namespace kvsift {

/// The memory of the verbs. One routine lays it out: with a null base it counts, with memory it carves.
/// split: rows may be shared by several blocks, see splits_rows; they are where a block has memory enough.
template <class Columns>
struct workspace_view {
  std::byte* blocks = nullptr;   ///< [layer rows, block_bytes], each a row_scratch
  std::size_t block_bytes = 0;
  std::size_t slots = 0;         ///< that a block's scratch is made for
  std::uint32_t threads = 1;     ///< the most threads of a group
  std::uint32_t piece = 1;       ///< the most tokens of a piece
  std::uint32_t window_heads = 0;///< see row_scratch
  std::size_t more_words = 0;    ///< see policy_facts::words
  float* sums = nullptr;         ///< [deciding rows, 2, slots], where values are summed up before a decision: see policy_facts
  std::uint32_t* words = nullptr;///< [rows, 2 x threads]
  float* chunks = nullptr;       ///< [layer rows, row_chunks, chunk_floats], what blocks that share a row hand over: see chunk_results
  std::uint32_t row_chunks = 0;  ///< that the longest row has; 0 where a row has one block
  std::size_t chunk_floats = 0;
  row_state* after = nullptr;    ///< [layer rows], the state of rows of several blocks once the step is over
  cache_view<Columns> staging;   ///< of a prompt in flight: columns only, keys and values stay where the caller has them
  std::size_t bytes = 0;

  static workspace_view carve(std::byte* base, cache_shape const& shape, Columns const& stored, policy_facts const& facts,
                              std::uint32_t longest, cache_options const& options, bool split) {
    workspace_view w;
    w.slots = std::max<std::size_t>(options.max_piece, longest);
    w.threads = options.group_threads;
    w.piece = options.max_piece;
    asked_evidence const asked = stored.asked();
    w.window_heads = asked.window != 0 && asked.window_reduction != group_reduction::mean ? shape.group : 0;
    w.more_words = facts.words.count(shape.head_dim, w.slots);
    w.block_bytes = row_scratch::carve(nullptr, shape, w.slots, w.threads, w.piece, w.window_heads, w.more_words).bytes;
    carver memory{base};
    cache_shape one_layer = shape;
    one_layer.layers = 1;
    cache_bytes unused;
    std::size_t staging = 0;
    w.blocks = memory.take<std::byte>(w.block_bytes * shape.layer_rows());
    std::size_t const summed = facts.summed ? shape.rows() : facts.shared ? shape.layers * shape.sequences : 0;
    w.sums = memory.take<float>(summed * 2 * w.slots);
    w.words = memory.take<std::uint32_t>(std::size_t{shape.rows()} * 2 * w.threads);
    bool const shared = split && chunk_memory::carve(nullptr, shape.group, shape.head_dim, w.threads).bytes <= most_block_bytes;
    w.row_chunks = shared ? chunks_of(longest) : 0;
    w.chunk_floats = chunk_results::floats(shape.group, shape.head_dim);
    w.chunks = memory.take<float>(w.chunk_floats * w.row_chunks * shape.layer_rows());
    w.after = memory.take<row_state>(shared ? shape.layer_rows() : 0);
    slot_extent const staged = slot_extent::even(one_layer, options.max_piece);
    lay_out<in_rows>(nullptr, one_layer, 0, stored, staged, false, layout::dense, unused, staging);
    w.staging = lay_out<in_rows>(memory.take<std::byte>(staging), one_layer, 0, stored, staged, false, layout::dense, unused, staging);
    w.bytes = memory.bytes;
    return w;
  }
  /// Room for the values of rows that decide together, by their number.
  KVSIFT_HOST_DEVICE float* sums_of(std::uint32_t deciding) const { return sums == nullptr ? nullptr : sums + deciding * 2 * slots; }
  KVSIFT_HOST_DEVICE row_scratch block(cache_shape const& shape, std::uint32_t index) const {
    return row_scratch::carve(blocks + index * block_bytes, shape, slots, threads, piece, window_heads, more_words);
  }
  /// What a block of several that share a row hands over, by its number: those of a row one behind another.
  KVSIFT_HOST_DEVICE float* chunk(std::uint32_t block) const { return chunks + block * chunk_floats; }
};

/// What else a cache remembers of its sequences and heads, where its tasks reach it. With a null base it only counts.
struct cache_tables {
  std::uint32_t* paused = nullptr;  ///< [sequences], not 0: verbs pass over it where nobody named it
  std::uint32_t* limits = nullptr;  ///< [layers, kv_heads], see slot_plan
  std::uint32_t* rooms = nullptr;   ///< [layers, kv_heads], see slot_plan
  std::size_t bytes = 0;

  static cache_tables carve(std::byte* base, cache_shape const& shape) {
    cache_tables t;
    carver memory{base};
    std::size_t const heads = std::size_t{shape.layers} * shape.kv_heads;
    t.paused = memory.take<std::uint32_t>(shape.sequences);
    t.limits = memory.take<std::uint32_t>(heads);
    t.rooms = memory.take<std::uint32_t>(heads);
    t.bytes = memory.bytes;
    return t;
  }
};

/// A cache as its tasks are given it: their blocks are of the rows of some of its sequences. Trivially copyable.
template <class Columns, class Disposal, class Placement>
struct bound_cache {
  using columns = Columns;
  using placement = Placement;

  cache_view<Columns, Placement> planes;
  workspace_view<Columns> work;
  key_reading reading;
  Disposal disposal;
  cache_tables tables;
  sequence_range who;

  /// Rows of these sequences in a layer.
  KVSIFT_HOST_DEVICE std::uint32_t layer_rows() const { return who.count * planes.shape.kv_heads; }
  /// The cache's number of one of them.
  KVSIFT_HOST_DEVICE std::uint32_t row_number(std::uint32_t layer, std::uint32_t row) const {
    return planes.shape.row(layer, who.first, row);
  }
  /// The same of the first of `heads` rows that are a block's, where blocks go through layers from first_layer on.
  KVSIFT_HOST_DEVICE std::uint32_t row_of(std::uint32_t first_layer, std::uint32_t block, std::uint32_t heads = 1) const {
    std::uint32_t const blocks = layer_rows() / heads;
    return row_number(first_layer + block / blocks, block % blocks * heads);
  }
  KVSIFT_HOST_DEVICE bool passes_over(std::uint32_t sequence) const { return !who.named && tables.paused[sequence] != 0; }
  /// The scratch of a block, by the number of its row among these.
  KVSIFT_HOST_DEVICE row_scratch scratch(std::uint32_t block) const { return work.block(planes.shape, block); }
};

}  // namespace kvsift
