#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/cache/moves.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/scan.hpp>
#include <kvsift/collective/select_in_block.hpp>
#include <kvsift/collective/turned_move.hpp>
#include <kvsift/evict/append_row.hpp>
#include <kvsift/evict/arrivals.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/cut.hpp>
#include <kvsift/evict/feed_columns.hpp>
#include <kvsift/evict/workspace.hpp>
#include <kvsift/exec/team.hpp>
#include <kvsift/payload/plain.hpp>

namespace kvsift {

/// What an engine's own causal attention over a prompt said of each of its tokens: probabilities averaged over the group,
/// then reduced over the queries. Each [sequences, kv_heads, pitch]; null where the policy's columns do not ask for it.
struct prompt_masses {
  float const* sum = nullptr;      ///< over all queries
  float const* squares = nullptr;  ///< sum of squares, over all queries
  float const* last = nullptr;     ///< of the last query
  float const* window = nullptr;   ///< sum over the last columns().asked().window queries
  std::size_t pitch = 0;           ///< at least the tokens of the prompt
  float const* young = nullptr;    ///< sum over the queries that saw a token while it was young: columns().asked().young
  float const* queries = nullptr;  ///< the prompt's own [sequences, tokens, kv_heads x group, head_dim], where a score of the policy reads them
};

/// Stands where no rule acts.
struct no_rule {
  static constexpr unit who = unit::per_head;
  static constexpr pick ranked = pick::victims;
};

/// The rows of one layer while a prompt is in flight: slots 0 .. tokens-1 in position order, columns in the workspace, keys
/// and values in the caller's arrays.
template <class Columns>
struct staging_rows {
  cache_view<Columns> planes;  ///< [one layer, sequences, kv_heads, tokens]
  arrivals piece;
  std::uint32_t layer = 0;
  std::uint32_t first = 0;  ///< row within the layer that row 0 of these is
  std::uint32_t heads = 1;
  float const* queries = nullptr;  ///< of the piece, for scores that read a prompt's

  KVSIFT_HOST_DEVICE row_view<Columns> operator()(std::uint32_t h) const {
    cache_shape const& shape = planes.shape;
    row_view<Columns> row = planes.row(first + h);
    std::size_t const stride = std::size_t{shape.kv_heads} * shape.head_dim;
    std::size_t const begin = piece.first(row.sequence) * stride + std::size_t{row.head} * shape.head_dim;
    row.keys = vectors{reinterpret_cast<std::byte*>(const_cast<float*>(piece.keys + begin)), stride * sizeof(float)};
    row.values = vectors{reinterpret_cast<std::byte*>(const_cast<float*>(piece.values + begin)), stride * sizeof(float)};
    row.layer = layer;
    return row;
  }
  /// The number that a row has in the cache.
  KVSIFT_HOST_DEVICE std::uint32_t in_cache(std::uint32_t h) const { return layer * planes.shape.layer_rows() + first + h; }
  /// These rows from one on.
  KVSIFT_HOST_DEVICE staging_rows from(std::uint32_t h) const {
    staging_rows rows = *this;
    rows.first += h;
    return rows;
  }
  /// No token is waiting; scores that read a prompt's queries find them by the first.
  KVSIFT_HOST_DEVICE arrival token(row_view<Columns> const& row) const {
    arrival none{nullptr, nullptr, planes.shape.head_dim};
    arrivals seen = piece;
    seen.queries = queries;
    none.queries = seen.at(planes.shape, row.sequence, row.head, 0, 0).queries;
    none.group = planes.shape.group;
    return none;
  }
};

/// The tokens of a staged row that are one block's, where a row has `chunks` blocks: chunk_slots of them, or all.
struct prompt_chunk {
  std::uint32_t row;  ///< of those staged
  std::uint32_t first;
  std::uint32_t end;

  KVSIFT_HOST_DEVICE prompt_chunk(std::uint32_t block, std::uint32_t chunks, std::uint32_t tokens)
      : row(block / chunks), first(block % chunks * chunk_slots), end(chunks == 1 || tokens - first < chunk_slots ? tokens : first + chunk_slots) {}
};

/// Lets the columns of a prompt be born in the workspace and feeds them: with the prompt's own causal attention over the
/// caller's arrays, or, if the piece has no queries, with masses that the engine gives. `chunks` blocks per (sequence, KV head); several
/// only without queries, each with chunk_slots tokens of its own.
template <class Bound, class Columns>
struct stage_task {
  Bound cache;
  staging_rows<Columns> staging;
  prompt_masses masses;
  float* out;
  std::uint32_t chunks = 1;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    Columns const& stored = staging.planes.stored;
    std::uint32_t const tokens = staging.piece.tokens;
    auto const [index, first, end] = prompt_chunk(block, chunks, tokens);
    row_view<Columns> row = staging(index);
    if (cache.passes_over(row.sequence)) return;
    row_state const target = *cache.planes.row(staging.in_cache(index)).state;
    row_state state{tokens, target.next + tokens, target.next + tokens - 1, target.limit};
    if (first == 0 && g.thread_rank() == 0) *row.state = state;
    row.state = __builtin_addressof(state);  // the row's own is another block's to write
    for (std::uint32_t t = first + g.thread_rank(); t < end; t += g.num_threads()) {
      row.positions[t] = target.next + t;
      arrival const token = staging.piece.at(shape, row.sequence, row.head, t, target.next + t);
      stored.for_each(detail::admitter<row_view<Columns>>{row, t, token, row.context(tokens)});
    }
    g.sync();
    head_context const about = row.context(tokens < target.limit ? tokens : target.limit);
    if (staging.piece.queries == nullptr) {
      std::size_t const begin = (std::size_t{row.sequence - staging.piece.first_sequence} * shape.kv_heads + row.head) * masses.pitch + first;
      auto const of_row = [&](float const* plane) { return plane == nullptr ? nullptr : plane + begin; };
      feed_columns(g, stored, row.from(first), about,
                   detail::mass_of_engine{of_row(masses.sum), of_row(masses.squares), of_row(masses.last), of_row(masses.window),
                                          of_row(masses.young), tokens - first},
                   end - first);
      return;
    }
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    std::size_t const begin = staging.piece.first(row.sequence) * queries + std::size_t{row.head} * shape.group * shape.head_dim;
    attend_piece<plain<float>>(g, shape, stored, row, cache.reading, 0, tokens, staging.piece.queries + begin, out + begin, about,
                               cache.scratch(index));
  }
};

/// Lets each head of a staged prompt measure what it keeps: limit and choice. One block per (sequence, KV head).
template <class Bound, class Columns, class Shares>
struct measure_task {
  Bound cache;
  staging_rows<Columns> staging;
  Shares shares;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    row_view<Columns> const row = staging(block);
    if (cache.passes_over(row.sequence)) return;
    row_state& record = cache.planes.states[staging.in_cache(block)];
    narrowed_row<columns_of<Shares>, Columns> const seen{row.positions.read_only(), row.context(row.state->held), __builtin_addressof(row)};
    shares.measure(g, seen, record, cache.scratch(block).group_words);
    if (g.thread_rank() == 0) {
      row.state->limit = record.limit;
      row.state->choice = record.choice;
    }
    g.sync();
  }
};

namespace detail {

/// What heads that compete show their allocator: see competing_shares. Lies in the scratch of each head's block, as victim_key.
struct contest {
  std::uint32_t* first_keys;   ///< [slots] of the first head
  std::uint32_t* first_tally;
  std::size_t apart;           ///< from head to head
  std::uint32_t heads, slots, guarded;

  KVSIFT_HOST_DEVICE std::uint32_t* keys(std::uint32_t h) const { return first_keys + h * apart; }
  /// The higher the score the lower; what is guarded does not compete.
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t h, std::uint32_t i) const {
    std::uint32_t const key = keys(h)[i];
    return key == never_key ? never_key : never_key - 1 - key;
  }
  KVSIFT_HOST_DEVICE std::uint32_t& tally(std::uint32_t h) const { return first_tally[h * apart]; }
};

}  // namespace detail

/// Heads of a staged prompt that does not fit compete for their limits, and the rows of the layer are laid out anew by them.
/// One block per sequence. beyond: slots of a head above its limit.
template <class Bound, class Columns, class Rule, class Shares>
struct allocate_task {
  Bound cache;
  staging_rows<Columns> staging;
  Rule rule;
  Shares shares;
  std::uint32_t beyond;
  bool scored = false;  ///< see settle_task

  std::size_t block_bytes(std::uint32_t) const { return usual_room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    if (cache.passes_over(cache.who.first + block)) return;
    std::uint32_t const first = block * shape.kv_heads;
    std::uint32_t const index = staging.in_cache(first);
    row_state* const records = cache.planes.states + index;
    staging_rows<Columns> const rows = staging.from(first);
    std::uint32_t const held = rows(0).state->held;
    if (held <= records[0].limit) return;
    row_scratch const scratch = cache.scratch(first);
    std::uint32_t* const words = scratch.group_words;
    detail::contest contest{scratch.keys, scratch.places, cache.work.block_bytes / sizeof(std::uint32_t), shape.kv_heads, held, 0};
    for (std::uint32_t h = 0; h < shape.kv_heads && !scored; ++h) {
      detail::with_candidates(g, rows.from(h), rule, cache.work.sums_of(first + h), words, [&](auto const& c) {
        for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) contest.keys(h)[i] = c.key(i);
      });
    }
    g.sync();
    std::uint32_t mine = 0;  // the same for all heads
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) mine += contest.keys(0)[i] == never_key ? 1u : 0u;
    contest.guarded = group_sum(g, words, mine);
    g.sync();
    with_room(g, usual_room, [&](auto const& in) { shares.allocate(in, contest, records, words); });
    if (g.thread_rank() == 0) {
      std::uint64_t at = cache.planes.firsts[index];
      for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
        cache.planes.firsts[index + h] = at;
        at += whole(std::uint64_t{records[h].limit} + beyond, Bound::placement::grain);
      }
    }
    g.sync();
  }
};

namespace detail {

/// Slot j of `to`, from `first` on, becomes slot survivors[j - first] of `from`, n slots of them. Each team of the group stores vectors of its own.
template <class Payload, cooperative_group G, class Bound, class Columns>
KVSIFT_HOST_DEVICE void write_survivors(G const& g, Bound const& cache, row_view<Columns> const& from,
                                        row_view<Columns, typename Bound::placement> const& to, std::uint32_t const* survivors,
                                        std::uint32_t first, std::uint32_t n) {
  auto const store = [&](auto const& who, std::uint32_t begin, std::uint32_t step) {
    std::uint32_t const dim = cache.planes.shape.head_dim;
    for (std::uint32_t i = begin; i < n; i += step) {
      std::uint32_t const source = survivors[i], j = first + i;
      auto const* const key = reinterpret_cast<float const*>(from.keys.at(source));
      if (cache.reading.turned)  // stored in fp32, as kv_tensor asks
        move_turned(who, key, dim, from.positions[source] - j, cache.reading.table, reinterpret_cast<float*>(to.keys.at(j)));
      else
        Payload::store(who, to.keys.at(j), key, dim);
      Payload::store(who, to.values.at(j), reinterpret_cast<float const*>(from.values.at(source)), dim);
    }
  };
  if (g.num_threads() == 1) {
    store(g, 0, 1);
  } else {
    team const mine(g);
    store(mine, mine.index, mine.count);
  }
  copy_slots(g, cache.planes.stored, from, to, {{survivors}, {nullptr, first}, n, false});
  if (to.ranks != nullptr)
    for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) to.ranks[first + i] = first + i;
  g.sync();
}

}  // namespace detail

/// Cuts a staged prompt down to the limit and, if `Writes`, writes the survivors, in position order, into the cache; else they are the
/// write_chunk_task's, which is left the cut. One block per (sequence, KV head), or per sequence if the heads decide together.
template <class Payload, class Bound, class Columns, class Rule, bool Writes>
struct settle_task {
  Bound cache;
  staging_rows<Columns> staging;
  Rule rule;
  bool scored = false;  ///< score_chunk_task has written keys and ranks

  std::size_t block_bytes(std::uint32_t) const { return std::is_same_v<Rule, no_rule> ? 0 : usual_room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    std::uint32_t const heads = rule.who == unit::shared ? shape.kv_heads : 1;
    row_scratch const scratch = cache.scratch(block);
    staging_rows<Columns> rows = staging.from(block * heads);
    rows.heads = heads;
    auto const first = rows(0);
    if (cache.passes_over(first.sequence)) return;
    std::uint32_t const held = first.state->held;
    std::uint32_t const index = rows.in_cache(0), limit = cache.planes.row(index).state->limit;
    std::uint32_t const kept = held < limit ? held : limit;
    selection_cut const cut = find_cut(g, rows, held - kept, scratch, block);
    auto const ties = ties_of(first.positions, rule.ranked);
    auto const goes = [&](std::uint32_t i) { return !cut.nothing && cut.holds(scratch.keys[i], ties, i); };
    if constexpr (!decltype(cache.disposal)::idle) {
      for (std::uint32_t h = 0; h < heads; ++h)
        for (std::uint32_t i = 0; i < held; ++i)
          if (goes(i)) dispose<plain<float>>(g, cache.disposal, rows(h), i, index + h, shape.head_dim);
      g.sync();
    }
    if constexpr (Writes) {  // keys become the list of the survivors
      inclusive_scan(g, [&](std::uint32_t i) { return goes(i) ? 1u : 0u; }, scratch.places, held);
      for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) {
        std::uint32_t const gone = scratch.places[i];
        if (gone == (i == 0 ? 0 : scratch.places[i - 1])) scratch.keys[i - gone] = i;
      }
      g.sync();
    }
    for (std::uint32_t h = 0; h < heads; ++h) {
      row_view<Columns> const from = rows(h);
      auto const to = cache.planes.row(index + h);
      take_slots(g, cache.planes, to, kept);
      if constexpr (Writes) detail::write_survivors<Payload>(g, cache, from, to, scratch.keys, 0, kept);
      if (g.thread_rank() == 0) {
        if constexpr (!Writes) *scratch.cut = cut;
        to.state->held = kept;
        to.state->next = from.state->next;
        to.state->observed_from = from.state->observed_from;
      }
      g.sync();
    }
  }

 private:
  /// Where the `count` slots end that go: those whose keys it holds.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE selection_cut find_cut(G const& g, staging_rows<Columns> const& rows, std::uint32_t count, row_scratch const& scratch,
                                            std::uint32_t block) const {
    selection_cut cut;
    if constexpr (!std::is_same_v<Rule, no_rule>) {
      if (count == 0) return cut;
      auto const written = [&](auto const& positions, std::uint32_t n, std::uint32_t excluded) {
        with_room(g, usual_room, [&](auto const& in) {
          cut = cut_of_many(in, positions, n, excluded, count, rule.ranked, scratch.keys, scratch.places, scratch.group_words);
        });
        g.sync();
      };
      if (scored) {
        written(rows(0).positions, rows(0).state->held, rule.scope.excluded());
      } else {
        detail::with_candidates(g, rows, rule, cache.work.sums_of(block), scratch.group_words, [&](auto const& c) {
          write_keys(g, c, scratch.keys, scratch.places);
          written(c.positions, c.n, c.excluded);
        });
      }
    }
    return cut;
  }
};

}  // namespace kvsift
