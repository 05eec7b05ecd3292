#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/exact.hpp>

namespace kvsift {

/// Keys of slots that may go lie below this value; a slot that must stay gets exactly this key.
inline constexpr std::uint32_t never_key = 0xffffffffu;

/// Maps a score to an unsigned integer of the same order: NaN lowest, -0 equal to +0, +infinity highest.
/// Selection on these integers has a total order, so every executor takes the same decision.
KVSIFT_HOST_DEVICE inline std::uint32_t ordered_key(float score) {
  float const x = score + 0.0f;  // -0 becomes +0
  std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x);
  std::uint32_t const flip = static_cast<std::uint32_t>(static_cast<std::int32_t>(u) >> 31) | 0x80000000u;
  return (u ^ flip) & mask_of(x == x);
}

}  // namespace kvsift
