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
};

/// The rows of one layer while a prompt is in flight: slots 0 .. tokens-1 in position order, columns in the workspace, keys
/// and values in the caller's arrays.
template <class Columns>
struct staging_rows {
  cache_view<Columns> planes;  ///< [one layer, sequences, kv_heads, tokens]
  arrivals piece;
  std::uint32_t layer = 0;
  std::uint32_t first = 0;  ///< row within the layer
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

/// Lets the columns of a prompt be born in the workspace and feeds them: with the prompt's own causal attention over the
/// caller's arrays, or, if the piece has no queries, with masses that the engine gives. One block per (sequence, KV head).
template <class Bound, class Columns>
struct stage_task {
  Bound cache;
  staging_rows<Columns> staging;
  prompt_masses masses;
  float* out;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    Columns const& stored = staging.planes.stored;
    row_view<Columns> const row = staging(block);
    row_state const target = *cache.planes.row(staging.layer * shape.layer_rows() + block).state;
    std::uint32_t const tokens = staging.piece.tokens;
    if (g.thread_rank() == 0) *row.state = {tokens, target.next + tokens, target.next + tokens - 1, target.limit};
    g.sync();
    for (std::uint32_t t = g.thread_rank(); t < tokens; t += g.num_threads()) {
      row.positions[t] = target.next + t;
      arrival const token = staging.piece.at(shape, row.sequence, row.head, t, target.next + t);
      stored.for_each(detail::admitter<row_view<Columns>>{row, t, token, row.context(tokens)});
    }
    g.sync();
    head_context const about = row.context(tokens < target.limit ? tokens : target.limit);
    if (staging.piece.queries == nullptr) {
      std::size_t const begin = block * masses.pitch;
      auto const of_row = [&](float const* plane) { return plane == nullptr ? nullptr : plane + begin; };
      feed_columns(g, stored, row, about,
                   detail::mass_of_engine{of_row(masses.sum), of_row(masses.squares), of_row(masses.last), of_row(masses.window),
                                          of_row(masses.young), tokens},
                   tokens);
      return;
    }
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    std::size_t const begin = staging.piece.first(row.sequence) * queries + std::size_t{row.head} * shape.group * shape.head_dim;
    attend_piece<plain<float>>(g, shape, stored, row, cache.reading, 0, tokens, staging.piece.queries + begin, out + begin, about,
                               cache.scratch(block));
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
    row_state& record = cache.planes.states[staging.layer * cache.planes.shape.layer_rows() + block];
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

/// What heads that compete show their allocator: see competing_shares. Lies in the scratch of each head's block.
struct contest {
  std::uint32_t* first_keys;   ///< [slots] of the first head
  std::uint32_t* first_tally;
  std::size_t apart;           ///< from head to head
  std::uint32_t heads, slots, guarded;

  KVSIFT_HOST_DEVICE std::uint32_t* keys(std::uint32_t h) const { return first_keys + h * apart; }
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t h, std::uint32_t i) const { return keys(h)[i]; }
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

  std::size_t block_bytes(std::uint32_t) const { return usual_room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    std::uint32_t const first = block * shape.kv_heads;
    std::uint32_t const index = staging.layer * shape.layer_rows() + first;
    row_state* const records = cache.planes.states + index;
    staging_rows<Columns> rows = staging;
    rows.first = first;
    std::uint32_t const held = rows(0).state->held;
    if (held <= records[0].limit) return;
    row_scratch const scratch = cache.scratch(first);
    std::uint32_t* const words = scratch.group_words;
    detail::contest contest{scratch.keys, scratch.places, cache.work.block_bytes / sizeof(std::uint32_t), shape.kv_heads, held, 0};
    for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
      rows.first = first + h;
      std::uint32_t mine = 0;
      std::uint32_t* const keys = contest.keys(h);
      detail::with_candidates(g, rows, rule, cache.work.sums_of(first + h), words, [&](auto const& c) {
        for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) {
          bool const guarded = c.guarded(i);
          keys[i] = guarded ? never_key : never_key - 1 - ordered_key(c.score_at(i));
          mine += guarded ? 1u : 0u;
        }
      });
      contest.guarded = group_sum(g, words, mine);  // the same for all heads
    }
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

/// Cuts a staged prompt down to the limit and writes the survivors, in position order, into the cache.
/// One block per (sequence, KV head), or per sequence if the heads decide together.
template <class Payload, class Bound, class Columns, class Rule>
struct settle_task {
  Bound cache;
  staging_rows<Columns> staging;
  Rule rule;

  std::size_t block_bytes(std::uint32_t) const { return std::is_same_v<Rule, no_rule> ? 0 : usual_room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void operator()(G const& g, std::uint32_t block) const {
    cache_shape const& shape = cache.planes.shape;
    std::uint32_t const heads = rule.who == unit::shared ? shape.kv_heads : 1;
    row_scratch const scratch = cache.scratch(block);
    staging_rows<Columns> rows = staging;
    rows.first = block * heads;
    rows.heads = heads;
    auto const first = rows(0);
    std::uint32_t const held = first.state->held;
    std::uint32_t const limit = cache.planes.row(staging.layer * shape.layer_rows() + rows.first).state->limit;
    std::uint32_t const kept = held < limit ? held : limit;
    mark_victims(g, rows, held, held - kept, scratch, block);
    inclusive_scan(g, [&](std::uint32_t i) { return scratch.places[i]; }, scratch.places, held);
    auto const goes = [&](std::uint32_t i) { return scratch.places[i] != (i == 0 ? 0 : scratch.places[i - 1]); };
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads())
      if (!goes(i)) scratch.keys[i - scratch.places[i]] = i;  // marks become the list of the survivors
    g.sync();
    for (std::uint32_t h = 0; h < heads; ++h) {
      row_view<Columns> const from = rows(h);
      std::uint32_t const index = staging.layer * shape.layer_rows() + rows.first + h;
      if constexpr (!decltype(cache.disposal)::idle) {
        for (std::uint32_t i = 0; i < held; ++i)
          if (goes(i)) dispose<plain<float>>(g, cache.disposal, from, i, index, shape.head_dim);
      }
      write_survivors(g, from, cache.planes.row(index), scratch.keys, kept);
    }
  }

 private:
  /// places[slot] = 1 for those that go, 0 for those that stay.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void mark_victims(G const& g, staging_rows<Columns> const& rows, std::uint32_t held, std::uint32_t count,
                                       row_scratch const& scratch, std::uint32_t block) const {
    if constexpr (!std::is_same_v<Rule, no_rule>) {
      if (count != 0) {
        mark_lowest(g, rows, count, scratch, block);
        return;
      }
    }
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) scratch.places[i] = 0;
    g.sync();
  }
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void mark_lowest(G const& g, staging_rows<Columns> const& rows, std::uint32_t count, row_scratch const& scratch,
                                      std::uint32_t block) const {
    detail::with_candidates(g, rows, rule, cache.work.sums_of(block), scratch.group_words, [&](auto const& c) {
      with_room(g, usual_room, [&](auto const& in) {
        choose_many(in, c, count, rule.ranked, scratch.keys, scratch.places, scratch.group_words);
      });
    });
  }

  /// Slot j of `to` becomes slot survivors[j] of `from`. Each team of the group stores vectors of its own.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void write_survivors(G const& g, row_view<Columns> const& from,
                                          row_view<Columns, typename Bound::placement> const& to,
                                          std::uint32_t const* survivors, std::uint32_t kept) const {
    take_slots(g, cache.planes, to, kept);
    auto const store = [&](auto const& who, std::uint32_t first, std::uint32_t step) {
      std::uint32_t const dim = cache.planes.shape.head_dim;
      for (std::uint32_t j = first; j < kept; j += step) {
        std::uint32_t const source = survivors[j];
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
    copy_slots(g, cache.planes.stored, from, to, {{survivors}, {}, kept, false});
    if (to.ranks != nullptr)
      for (std::uint32_t j = g.thread_rank(); j < kept; j += g.num_threads()) to.ranks[j] = j;
    if (g.thread_rank() == 0) {
      to.state->held = kept;
      to.state->next = from.state->next;
      to.state->observed_from = from.state->observed_from;
    }
    g.sync();
  }
};

}  // namespace kvsift
