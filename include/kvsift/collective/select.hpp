#pragma once

#include <cstdint>

#include <kvsift/collective/reduce.hpp>
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

/// The key of the count-th lowest item, 0 < count <= n; how many keys lie below it, and how many equal it. Four bits of the answer
/// a pass: each thread counts digits in its registers and adds them to those of the group. One barrier a pass, for counts have three
/// places in turn: to be added to, read, cleared. scratch [48].
template <cooperative_group G, class Key>
KVSIFT_HOST_DEVICE std::uint32_t find_digits(G const& g, Key const& key, std::uint32_t n, std::uint32_t count, std::uint32_t* scratch,
                                             std::uint32_t& below, std::uint32_t& equal) {
  constexpr std::uint32_t places = 3, bits = 4, digits = 16;
  std::uint32_t const rank = g.thread_rank();
  g.sync();
  for (std::uint32_t i = rank; i < places * digits; i += g.num_threads()) scratch[i] = 0;
  g.sync();
  std::uint32_t found = 0;
  below = 0;
  for (std::uint32_t pass = 0; pass < 32 / bits; ++pass) {
    std::uint32_t const shift = 32 - bits - pass * bits;
    std::uint32_t* const sums = scratch + pass % places * digits;
    for (std::uint32_t i = rank; i < n;) {
      digit_counts mine;
      for (std::uint32_t walked = 0; walked < 255 && i < n; ++walked, i += g.num_threads()) {
        std::uint32_t const top = key(i) >> shift;
        mine.add(top % digits, top / digits == (found >> shift) / digits);
      }
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
  Key const& key;
  Tie const& tie;
  std::uint32_t value;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t i) const {
    return key(i) == value ? tie(i) : 0xffffffffu;
  }
};

}  // namespace detail

/// Finds the cut that takes the `count` lowest of n items by key(i), equal keys by tie(i); ties are distinct and below
/// 2^32 - 1. `scratch` [2 x num_threads]. No memory, no sort, the same answer for any number of threads. Linear passes: few threads bisect the
/// bits of the answer, 33 passes, 65 when the cut falls among equals; groups of 32 and more find four bits a pass, 8 and 16.
template <cooperative_group G, class Key, class Tie>
KVSIFT_HOST_DEVICE selection_cut select_lowest(G const& g, Key const& key, Tie const& tie, std::uint32_t n,
                                               std::uint32_t count, std::uint32_t* scratch) {
  selection_cut cut;
  if (count == 0) return cut;
  cut.nothing = false;
  cut.key = cut.tie = 0xffffffffu;
  if (count >= n) return cut;
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

}  // namespace kvsift
