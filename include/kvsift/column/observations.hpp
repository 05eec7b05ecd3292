#pragma once

#include <cstdint>

#include <kvsift/column/concepts.hpp>

namespace kvsift {

/// The observations of a slot that heavy_hitter averages. A step is one observation, and so is a whole prompt: the mean
/// attention x = sum / rows of the queries that could see the slot. With `threshold` an observation is 1 if x reaches
/// 1 / held and 0 otherwise, so that means are ratios of whole numbers.
///
/// history 1 keeps the sum of all observations: 4 bytes a slot. history h > 1 keeps the newest h: 4 h bytes a slot, or
/// with `threshold` a bit each: h / 8 bytes, rounded up to 4.
struct observations {
  static constexpr char const* name = "observations";
  using element = float;
  static constexpr bool feeds_on_attention = true;
  static constexpr mass_part reads = mass_part::sum;
  static constexpr bool piece_is_one_observation = true;
  std::uint32_t history = 1;  ///< 0: not stored
  bool threshold = false;

  friend constexpr bool operator==(observations const&, observations const&) = default;

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return packed() ? (history + 31) / 32 : history; }
  constexpr void drop() { history = 0; }
  constexpr bool merge(observations const& other) {
    if (other.history == 0 || other == *this) return true;
    bool const free = history == 0;
    if (free) *this = other;
    return free;
  }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const {
    for (std::uint32_t i = 0; i < width(); ++i) e[i] = 0;  // all bits zero: no observation, in either form
  }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const& head) const {
    float const x = m.sum / static_cast<float>(m.rows);
    bool const high = x >= 1.0f / static_cast<float>(head.held);
    float const seen = threshold ? (high ? 1.0f : 0.0f) : x;
    std::uint32_t const place = history > 1 ? (head.next - 1) % history : 0;
    if (history <= 1) {
      *e += seen;
    } else if (packed()) {
      std::uint32_t word = __builtin_bit_cast(std::uint32_t, e[place / 32]);
      std::uint32_t const bit = 1u << (place % 32);
      word = high ? word | bit : word & ~bit;
      e[place / 32] = __builtin_bit_cast(float, word);
    } else {
      e[place] = seen;
    }
  }
  /// Mean of the observations kept, of which there were `visits` in all.
  KVSIFT_HOST_DEVICE float mean(float const* e, std::uint32_t visits) const {
    float sum = 0;
    for (std::uint32_t i = 0; i < width(); ++i)
      sum += packed() ? static_cast<float>(__builtin_popcount(__builtin_bit_cast(std::uint32_t, e[i]))) : e[i];
    std::uint32_t const counted = history > 1 && visits > history ? history : visits;
    return sum / static_cast<float>(counted);
  }

 private:
  KVSIFT_HOST_DEVICE constexpr bool packed() const { return threshold && history > 1; }
};

}  // namespace kvsift
