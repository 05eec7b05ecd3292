#pragma once

#include <cstdint>

#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select_in_block.hpp>
#include <kvsift/core/atomic.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// Where a selection by (key, tie) is cut: everything below `key` belongs to it, and of those equal to `key` the ones
/// whose tie is at most `tie`.
struct selection_cut {
  std::uint32_t key = 0;
  std::uint32_t tie = 0;
  bool nothing = true;

  KVSIFT_HOST_DEVICE constexpr bool holds(std::uint32_t k, std::uint32_t t) const {
    return !nothing && (k < key || (k == key && t <= tie));
  }
  /// The same of item i, whose tie is asked only where that tells.
  template <class Ties>
  KVSIFT_HOST_DEVICE constexpr bool holds(std::uint32_t k, Ties const& ties, std::uint32_t i) const {
    return !nothing && (k < key || (k == key && ties(i) <= tie));
  }
};

namespace detail {

template <cooperative_group G, class Key>
KVSIFT_HOST_DEVICE std::uint32_t count_below(G const& g, Key const& key, std::uint32_t n, std::uint32_t probe,
                                             std::uint32_t* scratch) {
  std::uint32_t mine = 0;
  for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) mine += key(i) < probe ? 1u : 0u;
  return group_sum(g, scratch, mine);
}

/// The highest value such that fewer than `count` keys lie below it, and how many do.
template <cooperative_group G, class Key>
KVSIFT_HOST_DEVICE std::uint32_t bisect(G const& g, Key const& key, std::uint32_t n, std::uint32_t count,
                                        std::uint32_t* scratch, std::uint32_t& below) {
  std::uint32_t found = 0;
  below = 0;
  for (std::uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    std::uint32_t const counted = count_below(g, key, n, found | bit, scratch);
    if (counted < count) {
      found |= bit;
      below = counted;
    }
  }
  return found;
}

/// How many of up to 255 items have each of 16 digits: eight bits a digit.
struct digit_counts {
  std::uint64_t low = 0, high = 0;

  KVSIFT_HOST_DEVICE void add(std::uint32_t digit, bool one) {
    std::uint64_t const unit = std::uint64_t{one} << (digit % 8 * 8);
    low += digit < 8 ? unit : 0;
    high += digit < 8 ? 0 : unit;
  }
  KVSIFT_HOST_DEVICE std::uint32_t operator[](std::uint32_t digit) const {
    return static_cast<std::uint32_t>((digit < 8 ? low : high) >> (digit % 8 * 8)) & 0xffu;
  }
};

inline constexpr std::uint32_t digit_threads = 32;  ///< fewer bisect: they have not the scratch

/// Keys that a thread asks for together: one of those that say that they are `costly`, for each takes many registers.
template <class Key>
inline constexpr std::uint32_t counted_ahead = 4;
template <class Key>
requires(Key::costly)
inline constexpr std::uint32_t counted_ahead<Key> = 1;

/// The key of the count-th lowest item, 0 < count <= n; how many keys lie below it, and how many equal it. Four bits of the answer
/// a pass: each thread counts digits in its registers and adds them to those of the group. One barrier a pass, for counts have three
/// places in turn: to be added to, read, cleared. scratch [48].
template <cooperative_group G, class Key>
KVSIFT_HOST_DEVICE std::uint32_t find_digits(G const& g, Key const& key, std::uint32_t n, std::uint32_t count, std::uint32_t* scratch,
                                             std::uint32_t& below, std::uint32_t& equal) {
  constexpr std::uint32_t places = 3, bits = 4, digits = 16, ahead = counted_ahead<Key>;
  std::uint32_t const rank = g.thread_rank();
  g.sync();
  for (std::uint32_t i = rank; i < places * digits; i += g.num_threads()) scratch[i] = 0;
  g.sync();
  std::uint32_t found = 0;
  below = 0;
  for (std::uint32_t pass = 0; pass < 32 / bits; ++pass) {
    std::uint32_t const shift = 32 - bits - pass * bits;
    std::uint32_t* const sums = scratch + pass % places * digits;
    std::uint32_t const stretch = g.num_threads() * (255 / ahead * ahead);  // what a thread's counters hold
    for (std::uint32_t from = 0; from < n; from += stretch) {
      std::uint32_t const to = n - from < stretch ? n : from + stretch;
      digit_counts mine;
      for_batches<ahead>(g, key, from, to, [&](std::uint32_t first, auto const& keys) {
        KVSIFT_UNROLL for (std::uint32_t u = 0; u < ahead; ++u) {
          std::uint32_t const top = keys[u] >> shift;
          mine.add(top % digits, first + u * g.num_threads() < to && top / digits == (found >> shift) / digits);
        }
      });
      for (std::uint32_t d = 0; d < digits; ++d) {
        std::uint32_t const digit = (d + rank) % digits;  // not all threads at one word
        if (mine[digit] != 0) add_to(sums[digit], mine[digit]);
      }
    }
    g.sync();
    std::uint32_t digit = 0;
    for (; digit + 1 < digits && below + sums[digit] < count; ++digit) below += sums[digit];
    equal = sums[digit];
    found |= digit << shift;
    std::uint32_t* const read = scratch + (pass + places - 1) % places * digits;  // by all, before the barrier
    if (rank < digits) read[rank] = 0;
  }
  return found;
}

/// The ties of the items that share one key; all others lie beyond.
template <class Key, class Tie>
struct ties_at {
  static constexpr bool costly = counted_ahead<Key> == 1;

  Key const& key;
  Tie const& tie;
  std::uint32_t value;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t i) const {
    return key(i) == value ? tie(i) : 0xffffffffu;
  }
};

/// The cut by what the block's memory holds of a row, or all of it. in_step: as many barriers whatever the values are.
template <group_with_room G, class Key, class Tie>
KVSIFT_HOST_DEVICE selection_cut select_in_room(G const& g, Key const& key, Tie const& tie, std::uint32_t n, std::uint32_t count,
                                                bool in_step = false) {
  bool const fits = n <= selection_room<G>{g}.capacity();
  ranked_value const last = ranked(g, key, n, count);
  bool const among_equals = last.below + last.equal != count;
  selection_cut cut{last.value, 0xffffffffu, false};
  if (!among_equals && !in_step) return cut;
  std::uint32_t const rank = count - last.below;
  ranked_value of_equals;
  if (fits) {
    kept_values const kept{selection_room<G>{g}.values()};
    keep(g, ties_at<kept_values, Tie>{kept, tie, last.value}, n);  // each thread in the place of what it kept itself
    of_equals = ranked_of_kept(g, n, rank);
  } else {
    of_equals = ranked_of_many(g, ties_at<Key, Tie>{key, tie, last.value}, n, rank);
  }
  if (among_equals) cut.tie = of_equals.value;
  return cut;
}

}  // namespace detail

/// Finds the cut that takes the `count` lowest of n < 2^31 items by key(i), equal keys by tie(i); ties are distinct and below
/// 2^32 - 1. `scratch` [2 x num_threads]; unused by a group with room. No sort, the same answer for any number of threads. Linear:
///
///   a group with room       reads keys once where 4 n bytes fit beside 2 KiB, else one in sixteen (or fewer) and then all of them; both
///                           twice when the cut falls among equals. Where the sample misleads, four passes more. Eight keys a thread ahead
///   groups of 32 and more   find four bits of the answer a pass: 8 passes, 16 when the cut falls among equals. Four keys a thread ahead,
///                           one where Key::costly says that more take too many registers
///   fewer threads           bisect the bits of the answer, which vectorises: 33 passes, 65
template <cooperative_group G, class Key, class Tie>
KVSIFT_HOST_DEVICE selection_cut select_lowest(G const& g, Key const& key, Tie const& tie, std::uint32_t n,
                                               std::uint32_t count, std::uint32_t* scratch) {
  if (count == 0) return {};
  if (count >= n) return {0xffffffffu, 0xffffffffu, false};
  if constexpr (group_with_room<G>) {
    return detail::select_in_room(g, key, tie, n, count);
  } else {
    selection_cut cut{0xffffffffu, 0xffffffffu, false};
    std::uint32_t below = 0, equal = 0, unused = 0;
    if (g.num_threads() >= detail::digit_threads) {
      cut.key = detail::find_digits(g, key, n, count, scratch, below, equal);
      if (below + equal == count) return cut;
      cut.tie = detail::find_digits(g, detail::ties_at<Key, Tie>{key, tie, cut.key}, n, count - below, scratch, unused, equal);
      return cut;
    }
    cut.key = detail::bisect(g, key, n, count, scratch, below);
    std::uint32_t const through =
        cut.key == 0xffffffffu ? n : detail::count_below(g, key, n, cut.key + 1, scratch);
    if (through == count) return cut;
    cut.tie = detail::bisect(g, detail::ties_at<Key, Tie>{key, tie, cut.key}, n, count - below, scratch, unused);
    return cut;
  }
}

}  // namespace kvsift
