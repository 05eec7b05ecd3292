#pragma once

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

}  // namespace kvsift
