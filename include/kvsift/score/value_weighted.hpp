#pragma once

#include <kvsift/column/value_norm.hpp>
#include <kvsift/core/exact.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// A score times the size of the slot's value, (s + epsilon) |v|_1: attention to a small value changes little of the output.
/// VATP (arXiv 2406.12335); CriticalKV (arXiv 2502.03805) without the output projection. The source's scores are not
/// negative, as attention is not. Combines with pooled either way.
template <score_source Source>
struct value_weighted {
  Source source{};
  float epsilon = 0;

  static constexpr bool needs_slots_in_order = [] {
    if constexpr (requires { Source::needs_slots_in_order; }) return bool{Source::needs_slots_in_order};
    return false;
  }();
  constexpr auto columns() const { return unite(source.columns(), column_set<value_norm>{}); }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return rounded_product(source(row, slot) + epsilon, row.template get<value_norm>()[slot]);
  }
  friend constexpr bool operator==(value_weighted const&, value_weighted const&) = default;
};

template <score_source Source>
value_weighted(Source, float = 0) -> value_weighted<Source>;

}  // namespace kvsift
