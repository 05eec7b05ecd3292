#pragma once

#include <cstdint>

#include <kvsift/column/attention.hpp>
#include <kvsift/core/exact.hpp>
#include <kvsift/scope/concepts.hpp>

namespace kvsift {

/// Excludes the slots whose attention varies most: those that have not settled yet. RoCo (arXiv 2402.06262).
/// Ranks by the population variance max(0, S2 / c - (S1 / c)^2), which orders like the standard deviation.
struct most_varying {
  std::uint32_t count = 0;

  static constexpr auto columns() { return column_set<attention_sum, attention_square_sum>{}; }
  KVSIFT_HOST_DEVICE constexpr std::uint32_t excluded() const { return count; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    float const visits = row.float_visits(slot);
    float const mean = row.template get<attention_sum>()[slot] / visits;
    return positive_part(row.template get<attention_square_sum>()[slot] / visits - rounded_square(mean));
  }
  friend constexpr bool operator==(most_varying const&, most_varying const&) = default;
};

/// most_varying as EasyKV published it: the newest and the sinks are not out of reach, they only rank as if their attention
/// varied more than any other's. With `count` below their number some of them may go, those of lower position first.
/// Beside it the guards of a rule protect nothing.
struct forced_then_varying {
  std::uint32_t count = 0;  ///< slots taken out in all
  std::uint32_t newest = 10;
  std::uint32_t sinks = 0;

  static constexpr auto columns() { return most_varying::columns(); }
  KVSIFT_HOST_DEVICE constexpr std::uint32_t excluded() const { return count; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    std::uint32_t const position = row.positions[slot];
    bool const forced = position < sinks || row.about.next - position <= newest;
    return forced ? 1e9f : most_varying{}(row, slot);
  }
  friend constexpr bool operator==(forced_then_varying const&, forced_then_varying const&) = default;
};

}  // namespace kvsift
