#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/moves.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/evict/arrivals.hpp>
#include <kvsift/evict/attend_row.hpp>
#include <kvsift/evict/choose.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/policy/rule.hpp>

namespace kvsift {

namespace detail {

/// Hands a part to f; a part that is chosen at run time hands over what it holds.
template <class Part, class F>
KVSIFT_HOST_DEVICE void with_part(Part const& part, F const& f) {
  if constexpr (chosen_at_run_time<Part>)
    part.visit(f);
  else
    f(part);
}

/// A part of a rule, evaluated on the slots of one row.
template <class Part, class Columns, class Placement>
struct on_row {
  Part const& part;
  narrowed_row<columns_of<Part>, Columns, Placement> row;

  KVSIFT_HOST_DEVICE on_row(Part const& p, row_view<Columns, Placement> const& r, head_context const& about, arrival const& token = {})
      : part(p), row{r.positions.read_only(), about, __builtin_addressof(r), token} {}
  on_row(on_row const&) = delete;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const { return part(row, slot); }
  /// Calls f with the same, as far as one page goes.
  template <class F>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void within(page_shift page, F const& f) const {
    row_view<Columns> const here = row.row->within(page);
    f(on_row<Part, Columns, in_rows>(part, here, row.about));
  }
};

/// The mean over the heads that decide together, summed up in an array beforehand.
struct head_mean {
  float const* sums;
  float heads;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const { return sums[slot] / heads; }
  template <class F>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void within(page_shift, F const& f) const {
    f(*this);
  }
};

struct slot_steps {
  std::uint32_t begin, end, step;
};

/// sums[slot] += value(slot), or = for the first head.
template <class Value>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void add_values(Value const& value, slot_steps own, bool first, float* sums) {
  if (first) {
    for (std::uint32_t i = own.begin; i < own.end; i += own.step) sums[i] = value(i);
  } else {
    for (std::uint32_t i = own.begin; i < own.end; i += own.step) sums[i] += value(i);
  }
}

/// sums[slot] = sum over the heads of the part's value. rows(h) is the row of head h. words [2 x threads].
template <cooperative_group G, class Rows, class Part>
KVSIFT_HOST_DEVICE void sum_over_heads(G const& g, Rows const& rows, Part const& part, std::uint32_t n, float* sums,
                                       std::uint32_t* words) {
  for (std::uint32_t h = 0; h < rows.heads; ++h) {
    auto const row = rows(h);
    if constexpr (prepared_score<Part>) {
      on_row const value(part, row, row.context(n), rows.token(row));
      part.prepare(g, value.row, words, [&](auto const& score) {
        add_values(score, {g.thread_rank(), n, g.num_threads()}, h == 0, sums);
      });
    } else {
      for_own_slots(g, row.positions.places, n, [&](auto const& where, std::uint32_t begin, std::uint32_t end, std::uint32_t step) {
        auto const& here = row.within(where);
        add_values(on_row(part, here, row.context(n)), {begin, end, step}, h == 0, sums);
      });
    }
  }
  g.sync();
}

/// Builds the candidates of a rule over rows that decide together and hands them to `decide`. Where one head decides by
/// parts that are known to the compiler, they are evaluated in the loops of the decision; where several do, or parts are
/// chosen at run time or prepared, their values are summed up first, so that the decision is one text whatever the parts.
/// sums [2, n] in the second case, words [2 x threads].
template <cooperative_group G, class Rows, class Rule, class Decide>
KVSIFT_HOST_DEVICE void with_candidates(G const& g, Rows const& rows, Rule const& rule, float* sums, std::uint32_t* words,
                                        Decide const& decide) {
  auto const first = rows(0);
  std::uint32_t const n = first.state->held;
  head_context const about = first.context(n);
  std::uint32_t const excluded = rule.scope.excluded();
  if constexpr (!values_are_summed<Rule>) {
    if (rows.heads == 1) {
      on_row const score_at(rule.score, first, about);
      on_row const rank_at(rule.scope, first, about);
      using seen = candidates<decltype(score_at) const&, decltype(rank_at) const&, decltype(first.positions)>;
      decide(seen{score_at, rank_at, first.positions, rule.guards, n, about.next, excluded});
      return;
    }
  }
  with_part(rule.score, [&](auto const& score) { sum_over_heads(g, rows, score, n, sums, words); });
  if (excluded != 0) with_part(rule.scope, [&](auto const& scope) { sum_over_heads(g, rows, scope, n, sums + n, words); });
  float const heads = static_cast<float>(rows.heads);
  using seen = candidates<head_mean, head_mean, decltype(first.positions)>;
  decide(seen{{sums, heads}, {sums + n, heads}, first.positions, rule.guards, n, about.next, excluded});
}

}  // namespace detail

/// The rows of a cache that decide together: one, or all heads of a layer and sequence.
template <class Columns, class Placement>
struct deciding_rows {
  cache_view<Columns, Placement> const& cache;
  std::uint32_t first;
  std::uint32_t heads;
  arrivals piece{};  ///< of one token that room is made for; empty if none is waiting

  KVSIFT_HOST_DEVICE row_view<Columns, Placement> operator()(std::uint32_t h) const { return cache.row(first + h); }
  KVSIFT_HOST_DEVICE arrival token(row_view<Columns, Placement> const& row) const {
    return piece.at(cache.shape, row.sequence, row.head, 0, row.state->next);
  }
};

namespace detail {

template <class Payload>
struct stored_components {
  std::byte const* x;
  KVSIFT_HOST_DEVICE float operator()(std::uint32_t d) const { return Payload::load(x, d); }
};

}  // namespace detail

/// Hands a token over to the disposal before its slot is used again. Payload: how `from` stores vectors.
template <class Payload, cooperative_group G, class Disposal, class Columns, class Placement>
KVSIFT_HOST_DEVICE void dispose(G const& g, Disposal const& disposal, row_view<Columns, Placement> const& from, std::uint32_t slot,
                                std::uint32_t index, std::uint32_t head_dim) {
  if constexpr (!Disposal::idle) {
    using vector = detail::stored_components<Payload>;
    disposal.dispose(g, victim<vector>{from.context(from.state->held), index, from.positions[slot], head_dim,
                                       vector{from.keys.at(slot)}, vector{from.values.at(slot)}});
  }
}

/// How far rows are cut that hold more than limit - room slots.
struct cut_depth {
  std::uint32_t room = 0;   ///< down to limit - room
  std::uint32_t piece = 0;  ///< not 0: by as many slots as the piece brought

  KVSIFT_HOST_DEVICE std::uint32_t target(std::uint32_t held, std::uint32_t limit) const {
    if (std::uint64_t{held} + room <= limit) return held;
    return piece != 0 ? held - piece : limit > room ? limit - room : 0;
  }
};

namespace detail {

/// Slots of a row that the score of a rule holds beside the limit.
template <cooperative_group G, class Row, class Score>
KVSIFT_HOST_DEVICE std::uint32_t slots_beside_limit(G const& g, Row const& row, Score const& of, std::uint32_t* words) {
  std::uint32_t mine = 0;
  std::uint32_t const held = row.state->held;
  with_part(of, [&]<class Part>(Part const& score) {
    if constexpr (holds_beside_limit<Part>) {
      on_row const seen(score, row, row.context(held));
      for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) mine += score.beside_limit(seen.row, i) ? 1u : 0u;
      mine = group_sum(g, words, mine);
    }
  });
  return mine;
}

}  // namespace detail

/// Brings rows that decide together down to as many slots as `depth` says, one victim after the other. Nothing happens where
/// they hold no more. sums [2, capacity] as with_candidates asks, words [2 x threads]. Payload: a disposed_payload.
/// Per victim: the columns that the rule reads, once or twice; one slot moved.
template <class Payload, cooperative_group G, class Columns, class Placement, class Rule, class Disposal>
KVSIFT_HOST_DEVICE KVSIFT_INLINE_IN_KERNELS void cut_rows(G const& g, deciding_rows<Columns, Placement> const& rows, Rule const& rule,
                                                          Disposal const& disposal, cut_depth depth, float* sums, std::uint32_t* words) {
  std::uint32_t const limit = rows(0).state->limit;
  std::uint32_t target = depth.target(rows(0).state->held, limit);
  if (target < rows(0).state->held)
    target = depth.target(rows(0).state->held, limit + detail::slots_beside_limit(g, rows(0), rule.score, words));
  for (;;) {
    std::uint32_t const held = rows(0).state->held;
    g.sync();
    if (held <= target) return;
    std::uint32_t chosen = held;
    detail::with_candidates(g, rows, rule, sums, words, [&](auto const& c) { chosen = choose_one(g, c, words); });
    if (chosen >= held) return;  // everything is guarded: the plan refuses such policies
    for (std::uint32_t h = 0; h < rows.heads; ++h) {
      dispose<Payload>(g, disposal, rows(h), chosen, rows.first + h, rows.cache.shape.head_dim);
      remove_slot(g, rows.cache, rows(h), chosen);
    }
  }
}

}  // namespace kvsift
