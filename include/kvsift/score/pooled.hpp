#pragma once

#include <cstdint>

#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// What becomes of the scores of neighbouring slots.
enum class pooling : std::uint32_t {
  max,   ///< the largest
  avg,   ///< their sum / kernel, at the ends too, where some are missing
  mean,  ///< their sum / their number
};

/// A score smoothed over its neighbours: that of slots j - kernel / 2 .. j + kernel / 2, cut off at the first slot and in
/// front of the `outside` newest ones. Summed in slot order. Legal at prompt_end only, where slots lie in position order.
/// SnapKV (arXiv 2404.14469): max or avg over its window's attention, the window itself outside. Reads kernel scores a slot.
template <score_source Source>
struct pooled {
  Source source{};
  std::uint32_t kernel = 7;  ///< odd
  pooling pool = pooling::max;
  std::uint32_t outside = 0;

  static constexpr bool needs_slots_in_order = true;  // see needs_slots_in_order of policy/rule.hpp
  constexpr auto columns() const { return source.columns(); }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    std::uint32_t const reach = kernel / 2;
    std::uint32_t const end = row.about.held > outside ? row.about.held - outside : 0;
    if (slot >= end) return 0;
    std::uint32_t const first = slot > reach ? slot - reach : 0;
    std::uint32_t const last = end - 1 - slot > reach ? slot + reach : end - 1;
    float sum = source(row, first);
    if (pool == pooling::max) {
      for (std::uint32_t j = first + 1; j <= last; ++j) {
        float const next = source(row, j);
        sum = next > sum ? next : sum;
      }
      return sum;
    }
    for (std::uint32_t j = first + 1; j <= last; ++j) sum += source(row, j);
    return sum / static_cast<float>(pool == pooling::avg ? kernel : last - first + 1);
  }
  friend constexpr bool operator==(pooled const&, pooled const&) = default;
};

template <score_source Source>
pooled(Source, std::uint32_t, pooling = pooling::max, std::uint32_t = 0) -> pooled<Source>;

}  // namespace kvsift
