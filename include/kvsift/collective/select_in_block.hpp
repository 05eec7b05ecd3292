#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include <kvsift/core/atomic.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/exec/block_memory.hpp>

// The n-th lowest of many values by a group that has memory of its own. A row that fits there is read once; of a longer one a sample is
// read, then all of it once, and what lies between two values of the sample stays in the memory.
namespace kvsift {

/// A group whose selections work in the block's memory: what lies in its first room() bytes is lost at each of them.
template <class G>
concept group_with_room = group_with_memory<G> && requires(G const& g) {
  { g.room() } -> std::same_as<std::uint32_t>;
};

/// A group that lets selections have `bytes` of its memory, at least least_room.
template <group_with_memory G>
class roomy_group {
 public:
  KVSIFT_HOST_DEVICE roomy_group(G const& of, std::uint32_t bytes) : of_(of), bytes_(bytes) {}
  KVSIFT_HOST_DEVICE std::uint32_t thread_rank() const { return of_.thread_rank(); }
  KVSIFT_HOST_DEVICE std::uint32_t num_threads() const { return of_.num_threads(); }
  KVSIFT_HOST_DEVICE void sync() const { of_.sync(); }
  KVSIFT_HOST_DEVICE std::byte* memory() const { return of_.memory(); }
  KVSIFT_HOST_DEVICE std::uint32_t room() const { return bytes_; }

 private:
  G const& of_;
  std::uint32_t bytes_;
};

/// Calls f(group), with a group that has room where g has memory; else with g. The task's block_bytes says as much.
template <cooperative_group G, class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void with_room(G const& g, std::uint32_t bytes, F const& f) {
  if constexpr (group_with_memory<G>) f(roomy_group<G>(g, bytes));
  else f(g);
}

namespace detail {

/// Calls use(first, v) for this thread's items of [begin, end): v[u] is the value of item first + u x num_threads where that lies before the
/// end, all ones elsewhere. `Ahead` values are asked for before the first of them is used.
template <std::uint32_t Ahead, cooperative_group G, class Value, class Use>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void for_batches(G const& g, Value const& value, std::uint32_t begin, std::uint32_t end, Use const& use) {
  std::uint32_t const step = g.num_threads();
  for (std::uint32_t first = begin + g.thread_rank(); first < end; first += Ahead * step) {
    std::uint32_t v[Ahead];
    KVSIFT_UNROLL for (std::uint32_t u = 0; u < Ahead; ++u) v[u] = first + u * step < end ? value(first + u * step) : 0xffffffffu;
    use(first, v);
  }
}

inline constexpr std::uint32_t values_ahead = 8;

/// Words of the block's memory before the values that are kept there.
inline constexpr std::uint32_t selection_words = 2 * 256 + 16 + 16;
constexpr std::uint32_t room_for(std::uint32_t values) { return 4 * (selection_words + values); }

/// What a selection has in the block's memory: counters of two digits in turn, their sums by sixteen, tallies, and values that are kept.
template <group_with_room G>
struct selection_room {
  static constexpr std::uint32_t digits = 256, blocks = 16;

  G const& g;

  KVSIFT_HOST_DEVICE std::uint32_t* words() const { return reinterpret_cast<std::uint32_t*>(g.memory()); }
  KVSIFT_HOST_DEVICE std::uint32_t* counters(std::uint32_t turn) const { return words() + turn % 2 * digits; }
  KVSIFT_HOST_DEVICE std::uint32_t* sums() const { return words() + 2 * digits; }
  KVSIFT_HOST_DEVICE std::uint32_t* tally() const { return words() + 2 * digits + blocks; }
  KVSIFT_HOST_DEVICE std::uint32_t* values() const { return words() + selection_words; }
  KVSIFT_HOST_DEVICE std::uint32_t capacity() const { return g.room() / 4 - selection_words; }
};

/// One of many values by its rank: how many lie below it, and how many are equal to it.
struct ranked_value {
  std::uint32_t value = 0, below = 0, equal = 0;
};

/// The first of sixteen counts at which `below` and those through it come to `rank`; below and equal are what they are there. All are read
/// at once.
struct reached_count {
  std::uint32_t place = 0, below = 0, equal = 0;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE reached_count(std::uint32_t const* counts, std::uint32_t so_far, std::uint32_t rank) : below(so_far) {
    std::uint32_t c[16];
    KVSIFT_UNROLL for (std::uint32_t d = 0; d < 16; ++d) c[d] = counts[d];
    equal = c[0];
    std::uint32_t through = so_far;
    KVSIFT_UNROLL for (std::uint32_t d = 0; d < 15; ++d) {
      through += c[d];
      bool const beyond = through < rank;
      place += beyond ? 1u : 0u;
      below = beyond ? through : below;
      equal = beyond ? c[d + 1] : equal;
    }
  }
};

/// The rank-th lowest of value(begin .. end - 1), 0 < rank <= end - begin. Eight bits of it a pass, four passes, two barriers each.
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE ranked_value ranked_by_digits(G const& g, Value const& value, std::uint32_t begin, std::uint32_t end, std::uint32_t rank) {
  using room_type = selection_room<G>;
  room_type const room{g};
  std::uint32_t const mine = g.thread_rank(), threads = g.num_threads();
  g.sync();
  for (std::uint32_t i = mine; i < room_type::digits; i += threads) room.counters(0)[i] = 0;
  g.sync();
  ranked_value found;
  std::uint32_t known = 0;
  for (std::uint32_t pass = 0; pass < 4; ++pass) {
    std::uint32_t const shift = 24 - 8 * pass;
    std::uint32_t* const now = room.counters(pass);
    for_batches<values_ahead>(g, value, begin, end, [&](std::uint32_t first, auto const& v) {
      KVSIFT_UNROLL for (std::uint32_t u = 0; u < values_ahead; ++u)
        if (first + u * threads < end && ((v[u] ^ found.value) & known) == 0) add_to(now[v[u] >> shift & 255u], 1u);
    });
    g.sync();
    for (std::uint32_t b = mine; b < room_type::blocks; b += threads) {
      std::uint32_t sum = 0;
      KVSIFT_UNROLL for (std::uint32_t c = 0; c < 16; ++c) sum += now[16 * b + (b + c) % 16];  // neighbouring threads at other banks
      room.sums()[b] = sum;
    }
    std::uint32_t* const next = room.counters(pass + 1);  // read by all before the barrier
    for (std::uint32_t i = mine; i < room_type::digits; i += threads) next[i] = 0;
    g.sync();
    reached_count const block(room.sums(), found.below, rank);
    reached_count const digit(now + 16 * block.place, block.below, rank);
    found.below = digit.below;
    found.equal = digit.equal;
    found.value |= (16 * block.place + digit.place) << shift;
    known |= 255u << shift;
  }
  return found;
}

struct kept_values {
  std::uint32_t const* values;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t i) const { return values[i]; }
};

/// The same of the first n values that are kept in the memory.
template <group_with_room G>
KVSIFT_HOST_DEVICE ranked_value ranked_of_kept(G const& g, std::uint32_t n, std::uint32_t rank) {
  return ranked_by_digits(g, kept_values{selection_room<G>{g}.values()}, 0, n, rank);
}

/// Keeps values first .. first + n - 1.
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE void keep(G const& g, Value const& value, std::uint32_t n) {
  std::uint32_t* const to = selection_room<G>{g}.values();
  std::uint32_t const threads = g.num_threads();
  g.sync();  // others may still read what lies there
  for_batches<values_ahead>(g, value, 0, n, [&](std::uint32_t first, auto const& v) {
    KVSIFT_UNROLL for (std::uint32_t u = 0; u < values_ahead; ++u)
      if (first + u * threads < n) to[first + u * threads] = v[u];
  });
}

/// A sample of n items: eight neighbours, which memory gives together, of each stretch of `eights` times as many; where in it is drawn,
/// so that no period of the values meets the sample's.
struct sample_of {
  std::uint32_t eights = 0, runs = 0;

  KVSIFT_HOST_DEVICE sample_of(std::uint32_t n, std::uint32_t most) {
    std::uint32_t const all = n / 8, asked = (all + most / 8 - 1) / (most / 8);
    eights = asked < 16 ? 16 : asked;
    eights = eights < all ? eights : all;
    runs = all / eights;
  }
  KVSIFT_HOST_DEVICE std::uint32_t size() const { return 8 * runs; }
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t j) const {
    std::uint64_t const drawn = counter_random::mix(std::uint64_t{j / 8} + 0x9e3779b97f4a7c15ull) >> 32;
    return (j / 8 * eights + static_cast<std::uint32_t>(drawn * eights >> 32)) * 8 + j % 8;
  }
};

template <class Value>
struct sampled_values {
  Value const& value;
  sample_of const& sample;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t j) const { return value(sample(j)); }
};

/// Two values, low <= high, between which the rank-th lowest of n likely lies, themselves included.
struct value_bracket {
  std::uint32_t low = 0, high = 0xffffffffu;
};

/// Of a sample: values six deviations of its ranks from where the rank should be, or closer, so that three quarters of what can be kept lie
/// between them. 0 and all ones where the sample ends.
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE value_bracket likely_bracket(G const& g, Value const& value, std::uint32_t n, std::uint32_t rank) {
  std::uint32_t const capacity = selection_room<G>{g}.capacity();
  sample_of const sample(n, capacity);
  std::uint32_t const size = sample.size();
  keep(g, sampled_values<Value>{value, sample}, size);
  auto const expected = static_cast<std::uint32_t>(std::uint64_t{rank} * size / n);
  auto const widest = static_cast<std::uint32_t>(std::uint64_t{3} * capacity * size / (std::uint64_t{8} * n));
  float const share = static_cast<float>(expected) / static_cast<float>(size);
  auto const wished = static_cast<std::uint32_t>(6.0f * std::sqrt(static_cast<float>(expected) * (1.0f - share))) + 4;
  std::uint32_t const margin = wished < widest ? wished : widest;
  value_bracket bracket;
  if (expected > margin) bracket.low = ranked_of_kept(g, size, expected - margin).value;
  if (expected + margin < size) bracket.high = ranked_of_kept(g, size, expected + margin + 1).value;
  return bracket;
}

/// How many of some values lie below a bracket, at its ends (all at `lows` where they are one) and between them.
struct bracket_tally {
  std::uint32_t below = 0, lows = 0, highs = 0, inside = 0;
};

/// Counts value(begin .. end - 1), each read once, and keeps those inside as far as they fit, in any order.
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE bracket_tally tally_and_keep(G const& g, Value const& value, std::uint32_t begin, std::uint32_t end, value_bracket const& b) {
  selection_room<G> const room{g};
  std::uint32_t* const tally = room.tally();
  std::uint32_t* const kept = room.values();
  std::uint32_t const threads = g.num_threads(), capacity = room.capacity(), width = b.high - b.low;
  g.sync();
  for (std::uint32_t i = g.thread_rank(); i < 4; i += threads) tally[i] = 0;
  g.sync();
  std::uint32_t below = 0, lows = 0, highs = 0;
  for_batches<values_ahead>(g, value, begin, end, [&](std::uint32_t first, auto const& v) {
    std::uint32_t within = 0;  // a bit a value
    KVSIFT_UNROLL for (std::uint32_t u = 0; u < values_ahead; ++u) {
      below += v[u] < b.low ? 1u : 0u;
      within |= (v[u] - b.low <= width ? 1u : 0u) << u;
    }
    if (within == 0) return;
    std::uint32_t count = 0;
    KVSIFT_UNROLL for (std::uint32_t u = 0; u < values_ahead; ++u) {
      bool const here = (within >> u & 1u) != 0 && first + u * threads < end;
      bool const low = here && v[u] == b.low, high = here && !low && v[u] == b.high;
      lows += low ? 1u : 0u;
      highs += high ? 1u : 0u;
      bool const inside = here && !low && !high;
      count += inside ? 1u : 0u;
      within &= ~((inside ? 0u : 1u) << u);
    }
    if (count == 0) return;
    std::uint32_t at = add_to(tally[3], count);
    KVSIFT_UNROLL for (std::uint32_t u = 0; u < values_ahead; ++u) {
      bool const inside = (within >> u & 1u) != 0;
      if (inside && at < capacity) kept[at] = v[u];
      at += inside ? 1u : 0u;
    }
  });
  if (below != 0) add_to(tally[0], below);
  if (lows != 0) add_to(tally[1], lows);
  if (highs != 0) add_to(tally[2], highs);
  g.sync();
  return {tally[0], tally[1], tally[2], tally[3]};
}

/// What a tally tells of the rank-th lowest, whose values inside are kept; nothing is equal to it if that is not enough.
template <group_with_room G>
KVSIFT_HOST_DEVICE ranked_value ranked_in_bracket(G const& g, value_bracket const& b, bracket_tally const& t, std::uint32_t rank) {
  std::uint32_t const from_inside = t.below + t.lows, from_high = from_inside + t.inside;
  if (rank <= t.below || rank > from_high + t.highs) return {};
  if (rank <= from_inside) return {b.low, t.below, t.lows};
  if (rank > from_high) return {b.high, from_high, t.highs};
  if (t.inside > selection_room<G>{g}.capacity()) return {};
  ranked_value const found = ranked_of_kept(g, t.inside, rank - from_inside);
  return {found.value, from_inside + found.below, found.equal};
}

/// The rank-th lowest of n values, of more than can be kept: each is read once, one in sixteen or fewer a second time. Where the sample
/// misled, four times more.
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE ranked_value ranked_of_many(G const& g, Value const& value, std::uint32_t n, std::uint32_t rank) {
  value_bracket const bracket = likely_bracket(g, value, n, rank);
  bracket_tally const tally = tally_and_keep(g, value, 0, n, bracket);
  ranked_value const found = ranked_in_bracket(g, bracket, tally, rank);
  return found.equal != 0 ? found : ranked_by_digits(g, value, 0, n, rank);
}
template <group_with_room G, class Value>
KVSIFT_HOST_DEVICE ranked_value ranked(G const& g, Value const& value, std::uint32_t n, std::uint32_t rank) {
  if (n > selection_room<G>{g}.capacity()) return ranked_of_many(g, value, n, rank);
  keep(g, value, n);
  return ranked_of_kept(g, n, rank);
}

}  // namespace detail

/// The least room of a selection, and what most take: a block may have as much unasked, and rows of 11,700 fit.
inline constexpr std::uint32_t least_room = 4096, usual_room = 48 * 1024;

}  // namespace kvsift
