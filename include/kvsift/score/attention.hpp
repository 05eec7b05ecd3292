#pragma once

#include <kvsift/column/attention.hpp>
#include <kvsift/column/observations.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// Sum of the attention received. H2O (arXiv 2306.14048). Favours old tokens: they were seen by more queries.
struct accumulated_attention {
  static constexpr auto columns() { return column_set<attention_sum>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return row.template get<attention_sum>()[slot];
  }
  friend constexpr bool operator==(accumulated_attention const&, accumulated_attention const&) = default;
};

/// Mean attention over the queries that saw the slot. RoCo (arXiv 2402.06262).
struct mean_attention {
  static constexpr auto columns() { return column_set<attention_sum>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return row.template get<attention_sum>()[slot] / row.float_visits(slot);
  }
  friend constexpr bool operator==(mean_attention const&, mean_attention const&) = default;
};

/// Attention of the newest query. TOVA (arXiv 2401.06104).
struct newest_query_attention {
  static constexpr auto columns() { return column_set<last_attention>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return row.template get<last_attention>()[slot];
  }
  friend constexpr bool operator==(newest_query_attention const&, newest_query_attention const&) = default;
};

/// Mean of the observations kept of a slot, a prompt being one observation. heavy_hitter of cold-compress; with a
/// history and a threshold Scissorhands (arXiv 2305.17118).
struct observed_mean {
  observations kept{};
  constexpr auto columns() const { return column_set<observations>{kept}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return kept.mean(row.template get<observations>()[slot], row.about.observations(row.positions[slot]));
  }
  friend constexpr bool operator==(observed_mean const&, observed_mean const&) = default;
};

/// Attention that the last `queries` queries of a prompt paid, summed, and reduced over the group: what SnapKV
/// (arXiv 2404.14469) ranks a prompt by, pooled.
struct window_mass {
  std::uint32_t queries = 16;
  group_reduction reduce = group_reduction::mean;
  constexpr auto columns() const { return column_set<window_attention>{window_attention{queries, reduce}}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return row.template get<window_attention>()[slot];
  }
  friend constexpr bool operator==(window_mass const&, window_mass const&) = default;
};

}  // namespace kvsift
