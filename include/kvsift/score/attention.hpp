#pragma once

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
    std::uint32_t const width = kept.width();
    return kept.mean(row.template get<observations>() + slot * width, row.about.observations(row.positions[slot]));
  }
  friend constexpr bool operator==(observed_mean const&, observed_mean const&) = default;
};

/// Mean attention of the last `queries` queries of a prompt, averaged over the slots j - reach .. j + reach (cut off at
/// the ends). Legal at prompt_end only, where slots lie in position order. The compressor of cold-compress's
/// heavy_hitter, after SnapKV (arXiv 2404.14469).
struct pooled_window_attention {
  std::uint32_t queries = 16;
  std::uint32_t reach = 2;
  constexpr auto columns() const { return column_set<window_attention>{window_attention{queries}}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    float const* const window = row.template get<window_attention>();
    std::uint32_t const first = slot > reach ? slot - reach : 0;
    std::uint32_t const last = slot + reach < row.about.next ? slot + reach : row.about.next - 1;
    float sum = 0;
    for (std::uint32_t j = first; j <= last; ++j) sum += window[j];
    return sum / static_cast<float>(last - first + 1);
  }
  friend constexpr bool operator==(pooled_window_attention const&, pooled_window_attention const&) = default;
};

}  // namespace kvsift
