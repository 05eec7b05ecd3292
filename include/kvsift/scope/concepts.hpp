#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/cache/row.hpp>

namespace kvsift {

/// Takes out of the candidates the `excluded()` slots that it ranks highest among those the guards left in; of equals
/// the higher position first.
template <class S>
concept ranked_scope = requires(S const& scope) {
  scope.columns();
  { scope.excluded() } -> std::convertible_to<std::uint32_t>;
};

/// Every slot that the guards left in may go.
struct all_slots {
  static constexpr auto columns() { return column_set<>{}; }
  KVSIFT_HOST_DEVICE static constexpr std::uint32_t excluded() { return 0; }
  KVSIFT_HOST_DEVICE float operator()(auto const&, std::uint32_t) const { return 0.0f; }
  friend constexpr bool operator==(all_slots const&, all_slots const&) = default;
};

}  // namespace kvsift
