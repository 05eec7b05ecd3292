#pragma once

#include <cstdint>

#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/policy/rule.hpp>

namespace kvsift {

/// What a decision looks at: scores and ranks of slots 0 .. n-1 as functions, their positions, and the guards.
template <class ScoreAt, class RankAt>
struct candidates {
  ScoreAt score_at;
  RankAt rank_at;
  std::uint32_t const* positions;
  protect guards;
  std::uint32_t n;
  std::uint32_t next;
  std::uint32_t excluded;

  KVSIFT_HOST_DEVICE bool guarded(std::uint32_t slot) const { return guards.holds(positions[slot], next); }
  /// Order in which slots go; a guarded slot never does.
  KVSIFT_HOST_DEVICE std::uint32_t key(std::uint32_t slot) const {
    std::uint32_t const k = ordered_key(score_at(slot));
    return guarded(slot) ? never_key : k;
  }
  /// Order in which the ranked scope takes slots out; guarded ones are out already and come last.
  KVSIFT_HOST_DEVICE std::uint32_t rank_key(std::uint32_t slot) const {
    std::uint32_t const k = ~ordered_key(rank_at(slot));
    return guarded(slot) ? never_key : k;
  }
};

namespace detail {

template <class C>
struct rank_keys {
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

struct no_exclusion {
  KVSIFT_HOST_DEVICE static bool holds(std::uint32_t) { return false; }
};

/// The lowest (key, position) above `after`, as key x 2^32 + position; all ones if there is none. `slot` becomes its slot
/// on the thread that found it.
template <cooperative_group G, class C, class Out>
KVSIFT_HOST_DEVICE std::uint64_t lowest(G const& g, C const& c, Out const& out, std::uint64_t after, bool first,
                                        std::uint32_t& slot) {
  constexpr std::uint32_t chunk = 64;
  std::uint64_t best = ~std::uint64_t{0};
  for (std::uint32_t base = g.thread_rank() * chunk; base < c.n; base += g.num_threads() * chunk) {
    std::uint32_t const count = c.n - base < chunk ? c.n - base : chunk;
    std::uint32_t keys[chunk];
    std::uint32_t least = never_key;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint32_t const k = c.key(base + i);
      keys[i] = k;
      least = k < least ? k : least;
    }
    if (least == never_key || (first && static_cast<std::uint64_t>(least) > best >> 32)) continue;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t const whole = (static_cast<std::uint64_t>(keys[i]) << 32) | c.positions[base + i];
      if (keys[i] != never_key && whole < best && (first || whole > after) && !out.holds(base + i)) {
        best = whole;
        slot = base + i;
      }
    }
  }
  return best;
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
  std::uint64_t after = 0;
  constexpr unsigned tries = 8;
  std::uint32_t slot = c.n;
  for (unsigned t = 0; t < tries; ++t) {
    std::uint64_t const mine = detail::lowest(g, c, detail::no_exclusion{}, after, t == 0, slot);
    std::uint64_t const best = group_min(g, scratch, mine);
    if (best == ~std::uint64_t{0}) break;
    std::uint32_t const found = detail::agree(g, mine, best, slot, scratch);
    if (c.excluded == 0) return found;
    std::uint32_t const rank = c.rank_key(found);
    std::uint32_t const position = static_cast<std::uint32_t>(best);
    std::uint32_t before = 0;
    for (std::uint32_t i = g.thread_rank(); i < c.n; i += g.num_threads()) {
      std::uint32_t const k = c.rank_key(i);
      before += static_cast<std::uint32_t>((k < rank) | ((k == rank) & (c.positions[i] > position)));
    }
    if (group_sum(g, scratch, before) >= c.excluded) return found;
    after = best;
  }
  detail::exclusion<C> const out = detail::exclude(g, c, scratch);
  std::uint64_t const mine = detail::lowest(g, c, out, 0, true, slot);
  std::uint64_t const best = group_min(g, scratch, mine);
  return best == ~std::uint64_t{0} ? c.n : detail::agree(g, mine, best, slot, scratch);
}

namespace detail {

struct array_keys {
  std::uint32_t const* keys;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return keys[slot]; }
};
struct position_ties {
  std::uint32_t const* positions;
  std::uint32_t flip;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return (positions[slot] ^ flip) - (flip & 1u); }
};

}  // namespace detail

/// Marks the `count` slots that go at once: marks[slot] = 1, 0 for those that stay. The lowest scores among the
/// candidates; equal scores by position, as `ranked` says. marks, keys [n].
template <cooperative_group G, class C>
KVSIFT_HOST_DEVICE void choose_many(G const& g, C const& c, std::uint32_t count, pick ranked, std::uint32_t* keys,
                                    std::uint32_t* marks, std::uint32_t* scratch) {
  detail::exclusion<C> const out = detail::exclude(g, c, scratch);
  for (std::uint32_t i = g.thread_rank(); i < c.n; i += g.num_threads()) {
    std::uint32_t const k = c.key(i);
    keys[i] = out.holds(i) ? never_key : k;
  }
  g.sync();
  detail::position_ties const ties{c.positions, ranked == pick::victims ? 0u : 0xffffffffu};
  selection_cut const cut = select_lowest(g, detail::array_keys{keys}, ties, c.n, count, scratch);
  for (std::uint32_t i = g.thread_rank(); i < c.n; i += g.num_threads())
    marks[i] = cut.holds(keys[i], ties(i)) ? 1u : 0u;
  g.sync();
}

}  // namespace kvsift
