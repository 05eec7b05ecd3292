#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/scan.hpp>
#include <kvsift/collective/select_in_block.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/evict/choose.hpp>
#include <kvsift/evict/cut.hpp>
#include <kvsift/evict/staging.hpp>
#include <kvsift/exec/block_memory.hpp>

// A prompt that is cut, where several blocks share a row: a block for each row and chunk_slots of its tokens asks the scores, one block a
// row finds where the cut falls (settle_task), and blocks of one or several chunks write those of their tokens that stay.
namespace kvsift {

/// Most blocks of a row that write: eight rows are 512. Of a longer prompt each has several chunks.
inline constexpr std::uint32_t most_writing_blocks = 64;

/// Whether a rule's scores can be asked chunk by chunk: where heads decide together, or a score is prepared for a row, settle_task asks.
template <class Rule>
bool scored_by_chunks(Rule const& rule) {
  return rule.who != unit::shared && !is_prepared(rule.score) && !is_prepared(rule.scope);
}

/// Writes down in which order the tokens of a chunk go: keys and, if the scope takes any out, ranks of their row's scratch. Rows that fit
/// are left alone. Reads the columns of the rule once.
template <class Bound, class Columns, class Rule>
struct score_chunk_task {
  Bound cache;
  staging_rows<Columns> staging;
  Rule rule;
  std::uint32_t chunks;  ///< of a row

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    auto const [index, first, end] = prompt_chunk(block, chunks, staging.piece.tokens);
    row_view<Columns> const row = staging(index);
    if (cache.passes_over(row.sequence)) return;
    std::uint32_t const held = row.state->held;
    if (held <= cache.planes.row(staging.in_cache(index)).state->limit) return;
    row_scratch const scratch = cache.scratch(index);
    head_context const about = row.context(held);
    write(g, rule.score, row, about, first, end, scratch.keys, [](float score, bool guarded) { return victim_key(score, guarded); });
    if (rule.scope.excluded() != 0)
      write(g, rule.scope, row, about, first, end, scratch.places, [](float rank, bool guarded) { return scope_key(rank, guarded); });
  }

 private:
  template <cooperative_group G, class Part, class Key>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void write(G const& g, Part const& of, row_view<Columns> const& row, head_context const& about,
                                                         std::uint32_t first, std::uint32_t end, std::uint32_t* to, Key const& key) const {
    detail::with_part(of, [&]<class One>(One const& part) {
      if constexpr (!prepared_score<One>) {
        detail::on_row const value(part, row, about);
        for (std::uint32_t i = first + g.thread_rank(); i < end; i += g.num_threads())
          to[i] = key(value(i), rule.guards.holds(row.positions[i], about.next));
      }
    });
  }
};

/// Writes those tokens of a block's chunks into the cache that the cut leaves; settle_task has been there. A block counts the survivors before
/// its chunks. Reads K and V of the survivors once, and the keys of a row once more for every block behind them: half of most_writing_blocks times.
template <class Payload, class Bound, class Columns>
struct write_chunk_task {
  Bound cache;
  staging_rows<Columns> staging;
  std::uint32_t together;  ///< rows that decide together
  pick ranked;
  std::uint32_t blocks;  ///< of a row
  std::uint32_t chunks;  ///< of a block

  std::size_t block_bytes(std::uint32_t threads) const { return memory(nullptr, threads).bytes; }

  template <group_with_memory G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const index = block / blocks, tokens = staging.piece.tokens, begin = block % blocks * chunks * chunk_slots;
    row_view<Columns> const row = staging(index);
    if (cache.passes_over(row.sequence)) return;
    auto const to = cache.planes.row(staging.in_cache(index));
    std::uint32_t const* const keys = cache.scratch(index / together).keys;
    selection_cut const cut = *cache.scratch(index / together).cut;
    auto const ties = ties_of(row.positions, ranked);
    working const m = memory(g.memory(), g.num_threads());
    std::uint32_t stayed = begin;
    if (!cut.nothing) {
      std::uint32_t went = 0;
      detail::for_batches<detail::values_ahead>(g, detail::array_keys{keys}, 0, begin, [&](std::uint32_t at, std::uint32_t const* some) {
        KVSIFT_UNROLL for (std::uint32_t u = 0; u < detail::values_ahead; ++u) {
          std::uint32_t const i = at + u * g.num_threads();
          went += i < begin && cut.holds(some[u], ties, i) ? 1u : 0u;
        }
      });
      stayed -= group_sum(g, m.words, went);
    }
    for (std::uint32_t chunk = 0; chunk < chunks && begin + chunk * chunk_slots < tokens; ++chunk) {
      std::uint32_t const first = begin + chunk * chunk_slots, n = tokens - first < chunk_slots ? tokens - first : chunk_slots;
      auto const stays = [&](std::uint32_t i) { return cut.nothing || !cut.holds(keys[first + i], ties, first + i); };
      inclusive_scan(g, [&](std::uint32_t i) { return stays(i) ? 1u : 0u; }, m.places, n);
      for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads())
        if (stays(i)) m.survivors[m.places[i] - 1] = first + i;
      g.sync();
      std::uint32_t const here = m.places[n - 1];
      detail::write_survivors<Payload>(g, cache, row, to, m.survivors, stayed, here);
      stayed += here;
    }
  }

 private:
  struct working {
    std::uint32_t* places = nullptr;     ///< [chunk_slots], how many stay up to a token
    std::uint32_t* survivors = nullptr;  ///< [chunk_slots]
    std::uint32_t* words = nullptr;      ///< [2 x threads]
    std::size_t bytes = 0;
  };
  KVSIFT_HOST_DEVICE static working memory(std::byte* base, std::uint32_t threads) {
    working m;
    carver from{base};
    m.places = from.take<std::uint32_t>(chunk_slots);
    m.survivors = from.take<std::uint32_t>(chunk_slots);
    m.words = from.take<std::uint32_t>(std::size_t{2} * threads);
    m.bytes = from.bytes;
    return m;
  }
};

}  // namespace kvsift
