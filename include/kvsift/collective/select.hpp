#pragma once

#include <cstdint>

#include <kvsift/collective/reduce.hpp>
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
/// 2^32 - 1. `scratch` [2 x num_threads]. Bisects the bits of the answer: 33 linear passes, 65 when the cut falls among
/// equals. No memory, no sort, the same answer for any number of threads.
template <cooperative_group G, class Key, class Tie>
KVSIFT_HOST_DEVICE selection_cut select_lowest(G const& g, Key const& key, Tie const& tie, std::uint32_t n,
                                               std::uint32_t count, std::uint32_t* scratch) {
  selection_cut cut;
  if (count == 0) return cut;
  cut.nothing = false;
  cut.key = cut.tie = 0xffffffffu;
  if (count >= n) return cut;
  std::uint32_t below = 0;
  cut.key = detail::bisect(g, key, n, count, scratch, below);
  std::uint32_t const through =
      cut.key == 0xffffffffu ? n : detail::count_below(g, key, n, cut.key + 1, scratch);
  if (through == count) return cut;
  std::uint32_t unused = 0;
  cut.tie = detail::bisect(g, detail::ties_at<Key, Tie>{key, tie, cut.key}, n, count - below, scratch, unused);
  return cut;
}

}  // namespace kvsift
