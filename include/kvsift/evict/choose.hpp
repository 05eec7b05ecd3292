#pragma once

#include <cstdint>

#include <kvsift/cache/placement.hpp>
#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/policy/rule.hpp>

namespace kvsift {

namespace detail {

template <class Positions>
concept paged_positions = requires(Positions const& positions) { positions.places.page_of(0); };

}  // namespace detail

/// Order in which slots go; a guarded slot never does.
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t victim_key(float score, bool guarded) { return ordered_key(score) | mask_of(guarded); }
/// Order in which the ranked scope takes slots out; guarded ones are out already and come last, NaN before them.
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t scope_key(float rank, bool guarded) { return (never_key - 1 - ordered_key(rank)) | mask_of(guarded); }

/// What a decision looks at: scores and ranks of slots 0 .. n-1 as functions, their positions, and the guards.
template <class ScoreAt, class RankAt, class Positions = std::uint32_t const*>
struct candidates {
  ScoreAt score_at;
  RankAt rank_at;
  Positions positions;
  protect guards;
  std::uint32_t n;
  std::uint32_t next;
  std::uint32_t excluded;

  /// Calls f(candidates, from, to) for stretches of [begin, end) whose slots lie together: all at once, or page by page.
  template <class F>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void for_stretches(std::uint32_t begin, std::uint32_t end, F const& f) const {
    if constexpr (detail::paged_positions<Positions>) {
      for (std::uint32_t from = begin; from < end;) {
        std::uint32_t const next_page = from / page_slots * page_slots + page_slots, to = end < next_page ? end : next_page;
        auto const page = positions.places.page_of(from);
        score_at.within(page, [&](auto const& score) {
          rank_at.within(page, [&](auto const& rank) {
            auto const here = positions.within(page);
            f(candidates<decltype(score), decltype(rank), decltype(here)>{score, rank, here, guards, n, next, excluded}, from, to);
          });
        });
        from = to;
      }
    } else {
      f(*this, begin, end);
    }
  }

  KVSIFT_HOST_DEVICE bool guarded(std::uint32_t slot) const { return guards.holds(positions[slot], next); }
  KVSIFT_HOST_DEVICE std::uint32_t key(std::uint32_t slot) const { return victim_key(score_at(slot), guarded(slot)); }
  KVSIFT_HOST_DEVICE std::uint32_t rank_key(std::uint32_t slot) const { return scope_key(rank_at(slot), guarded(slot)); }
};

namespace detail {

template <class C>
struct rank_keys {
  static constexpr bool costly = true;  // columns by the score's formula

  C const& c;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return c.rank_key(slot); }
};
template <class C>
struct late_positions {
  C const& c;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return ~c.positions[slot] - 1; }
};

/// The slots that the ranked scope takes out.
template <class C>
struct exclusion {
  C const& c;
  selection_cut cut;
  KVSIFT_HOST_DEVICE bool holds(std::uint32_t slot) const {
    return !cut.nothing && cut.holds(c.rank_key(slot), ~c.positions[slot] - 1);
  }
};

template <cooperative_group G, class C>
KVSIFT_HOST_DEVICE exclusion<C> exclude(G const& g, C const& c, std::uint32_t* scratch) {
  return {c, select_lowest(g, rank_keys<C>{c}, late_positions<C>{c}, c.n, c.excluded, scratch)};
}

/// What was tried already: every slot up to `last`, as key x 2^32 + position.
template <class C>
struct tried {
  C const& c;
  std::uint64_t last;
  KVSIFT_HOST_DEVICE bool holds(std::uint32_t slot) const {
    return ((static_cast<std::uint64_t>(c.key(slot)) << 32) | c.positions[slot]) <= last;
  }
};

struct no_exclusion {
  KVSIFT_HOST_DEVICE static bool holds(std::uint32_t) { return false; }
};

/// Slots that a thread walks at a time: so few that all of a group's threads have some, and so many that one has work for its vectors.
template <cooperative_group G>
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t walked_slots(G const& g) {
  return g.num_threads() == 1 ? 256 : 4;
}

/// Calls f(begin, end) for this thread's chunks of [from, to) until one returns false. `from` begins a chunk of its own.
template <cooperative_group G, class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void for_chunks(G const& g, std::uint32_t from, std::uint32_t to, F const& f) {
  std::uint32_t const chunk = walked_slots(g), stride = g.num_threads() * chunk;
  for (std::uint32_t base = from; base < to; base += stride)
    if (!f(base, to - base < chunk ? to : base + chunk)) return;
}

/// The lowest (key, position) of this thread's slots that `out` does not hold, as key x 2^32 + position; all ones if
/// there is none. `slot` becomes its slot. One pass for the key; position and slot are looked for in the chunks between
/// the first and the last that have that key.
template <cooperative_group G, class C, class Out>
KVSIFT_HOST_DEVICE std::uint64_t lowest(G const& g, C const& c, Out const& out, std::uint32_t& slot) {
  std::uint32_t least = never_key;
  std::uint32_t first = 0, last = 0;
  for_chunks(g, g.thread_rank() * walked_slots(g), c.n, [&](std::uint32_t begin, std::uint32_t end) {
    std::uint32_t here = never_key;
    c.for_stretches(begin, end, [&](auto const& near, std::uint32_t from, std::uint32_t to) {
      std::uint32_t lowest = never_key;
      for (std::uint32_t i = from; i < to; ++i) {
        std::uint32_t const k = near.key(i) | mask_of(out.holds(i));
        lowest = k < lowest ? k : lowest;
      }
      here = lowest < here ? lowest : here;
    });
    if (here < least) first = begin;
    if (here <= least) last = end;
    least = here < least ? here : least;
    return true;
  });
  if (least == never_key) return ~std::uint64_t{0};
  std::uint32_t position = 0xffffffffu;
  for_chunks(g, first, last, [&](std::uint32_t begin, std::uint32_t end) {
    std::uint32_t lowest = 0xffffffffu;
    c.for_stretches(begin, end, [&](auto const& near, std::uint32_t from, std::uint32_t to) {
      for (std::uint32_t i = from; i < to; ++i) {
        std::uint32_t const p = near.positions[i] | mask_of(near.key(i) != least) | mask_of(out.holds(i));
        lowest = p < lowest ? p : lowest;
      }
    });
    position = lowest < position ? lowest : position;
    return true;
  });
  for_chunks(g, first, last, [&](std::uint32_t begin, std::uint32_t end) {
    while (begin < end && c.positions[begin] != position) ++begin;
    slot = begin;
    return begin == end;
  });
  return (static_cast<std::uint64_t>(least) << 32) | position;
}

/// The sum of count(c, i) over the slots of c, or what it came to where it reached `enough`; each thread stops by itself.
template <cooperative_group G, class C, class Count>
KVSIFT_HOST_DEVICE std::uint32_t count_up_to(G const& g, C const& c, std::uint32_t enough, Count const& count,
                                             std::uint32_t* scratch) {
  std::uint32_t mine = 0;
  for_chunks(g, g.thread_rank() * walked_slots(g), c.n, [&](std::uint32_t begin, std::uint32_t end) {
    c.for_stretches(begin, end, [&](auto const& near, std::uint32_t from, std::uint32_t to) {
      std::uint32_t counted = 0;
      for (std::uint32_t i = from; i < to; ++i) counted += count(near, i);
      mine += counted;
    });
    return mine < enough;
  });
  return group_sum(g, scratch, mine);
}

/// Whether the ranked scope takes enough slots out before it comes to `slot`. One pass at most, or two if there are
/// equals.
template <cooperative_group G, class C>
KVSIFT_HOST_DEVICE bool in_scope(G const& g, C const& c, std::uint32_t slot, std::uint32_t* scratch) {
  std::uint32_t const rank = c.rank_key(slot);
  std::uint32_t const position = c.positions[slot];
  auto const before = [&](auto const& near, std::uint32_t i) { return static_cast<std::uint32_t>(near.rank_key(i) < rank); };
  std::uint32_t const sure = count_up_to(g, c, c.excluded, before, scratch);
  if (sure >= c.excluded) return true;
  auto const equal = [&](auto const& near, std::uint32_t i) {
    return static_cast<std::uint32_t>(near.rank_key(i) == rank) & static_cast<std::uint32_t>(near.positions[i] > position);
  };
  return sure + count_up_to(g, c, c.excluded - sure, equal, scratch) >= c.excluded;
}

/// Makes the slot that one thread found known to all.
template <cooperative_group G>
KVSIFT_HOST_DEVICE std::uint32_t agree(G const& g, std::uint64_t mine, std::uint64_t all, std::uint32_t slot,
                                       std::uint32_t* scratch) {
  if (g.num_threads() == 1) return slot;
  g.sync();
  if (mine == all) scratch[0] = slot;  // positions are distinct: exactly one thread
  g.sync();
  std::uint32_t const agreed = scratch[0];
  g.sync();
  return agreed;
}

}  // namespace detail

/// The one slot that goes: the lowest score, of equals the lowest position, among those that neither the guards nor the
/// ranked scope take out. n if every slot is guarded.
///
/// Linear: the lowest by score is taken, then the slots are counted that the scope would take out before it; enough of
/// them, and it stands. 1.0 to 1.06 candidates are tried on average; after eight the scope's limit is found by bisection.
template <cooperative_group G, class C>
KVSIFT_HOST_DEVICE std::uint32_t choose_one(G const& g, C const& c, std::uint32_t* scratch) {
  std::uint32_t slot = c.n;
  std::uint64_t mine = detail::lowest(g, c, detail::no_exclusion{}, slot);
  std::uint64_t best = group_min(g, scratch, mine);
  constexpr unsigned tries = 8;
  for (unsigned t = 0; t < tries && best != ~std::uint64_t{0}; ++t) {
    std::uint32_t const found = detail::agree(g, mine, best, slot, scratch);
    if (c.excluded == 0) return found;
    if (detail::in_scope(g, c, found, scratch)) return found;
    mine = detail::lowest(g, c, detail::tried<C>{c, best}, slot);
    best = group_min(g, scratch, mine);
  }
  detail::exclusion<C> const out = detail::exclude(g, c, scratch);
  mine = detail::lowest(g, c, out, slot);
  best = group_min(g, scratch, mine);
  return best == ~std::uint64_t{0} ? c.n : detail::agree(g, mine, best, slot, scratch);
}

namespace detail {

struct array_keys {
  std::uint32_t const* keys;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return keys[slot]; }
};
template <class Positions>
struct position_ties {
  Positions positions;
  std::uint32_t flip;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return (positions[slot] ^ flip) - (flip & 1u); }
};

}  // namespace detail

/// Order among equal keys where many slots go at once, as `ranked` says: those at the lower positions first, or at the higher.
template <class Positions>
KVSIFT_HOST_DEVICE detail::position_ties<Positions> ties_of(Positions const& positions, pick ranked) {
  return {positions, ranked == pick::victims ? 0u : 0xffffffffu};
}

/// Where the `count` of n slots end that go at once, the lowest keys (victim_key); if `excluded` slots are taken out first, by ranks (scope_key),
/// their keys become never_key. Those that go are cut.holds(keys[i], ties, i), ties as ties_of says.
template <cooperative_group G, class Positions>
KVSIFT_HOST_DEVICE selection_cut cut_of_many(G const& g, Positions const& positions, std::uint32_t n, std::uint32_t excluded, std::uint32_t count,
                                             pick ranked, std::uint32_t* keys, std::uint32_t const* ranks, std::uint32_t* scratch) {
  if (excluded != 0) {
    detail::position_ties<Positions> const late{positions, 0xffffffffu};
    selection_cut const out = select_lowest(g, detail::array_keys{ranks}, late, n, excluded, scratch);
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads())
      if (out.holds(ranks[i], late(i))) keys[i] = never_key;
    g.sync();
  }
  return select_lowest(g, detail::array_keys{keys}, ties_of(positions, ranked), n, count, scratch);
}

/// keys[i] of c's n slots, and ranks[i] where the scope takes any out: computed once, and selected from where they are written down. Ends with a
/// sync.
template <cooperative_group G, class C>
KVSIFT_HOST_DEVICE void write_keys(G const& g, C const& c, std::uint32_t* keys, std::uint32_t* ranks) {
  for (std::uint32_t i = g.thread_rank(); i < c.n; i += g.num_threads()) keys[i] = c.key(i);
  if (c.excluded != 0)
    for (std::uint32_t i = g.thread_rank(); i < c.n; i += g.num_threads()) ranks[i] = c.rank_key(i);
  g.sync();
}

}  // namespace kvsift
