#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// A number in [0, 1) that depends on nothing but the arguments: equal on every executor, in any order of evaluation.
/// 64-bit mixing (two rounds of multiply and xor-shift per word), 24 random bits in the result. The seed is mixed by itself
/// first: added to the counters as it is, the next seed would draw the same numbers one counter later.
struct counter_random {
  std::uint64_t seed = 0;

  KVSIFT_HOST_DEVICE static constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
    return x ^ (x >> 32);
  }
  KVSIFT_HOST_DEVICE constexpr float uniform(std::uint32_t a, std::uint32_t b, std::uint32_t c = 0) const {
    std::uint64_t const start = mix(seed + 0x9e3779b97f4a7c15ull);
    std::uint64_t const first = mix(start + ((static_cast<std::uint64_t>(a) << 32) | b));
    std::uint64_t const second = mix(first + 0x9e3779b97f4a7c15ull * (static_cast<std::uint64_t>(c) + 1u));
    return static_cast<float>(second >> 40) * 0x1p-24f;
  }
};

}  // namespace kvsift
