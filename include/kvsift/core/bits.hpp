#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// How many bits are set. By shifts and sums where the processor counts bits one word at a time or not at all, so that a loop of it
/// vectorises.
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t bit_count(std::uint32_t x) {
#if defined(__CUDA_ARCH__)
  return static_cast<std::uint32_t>(__popc(x));
#elif defined(__AVX512VPOPCNTDQ__)
  return static_cast<std::uint32_t>(__builtin_popcount(x));
#else
  x -= (x >> 1) & 0x55555555u;
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0fu;
  x += x >> 8;
  return (x + (x >> 16)) & 0x3fu;
#endif
}
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t bit_count(std::uint64_t x) {
#if defined(__CUDA_ARCH__)
  return static_cast<std::uint32_t>(__popcll(x));
#elif defined(__AVX512VPOPCNTDQ__)
  return static_cast<std::uint32_t>(__builtin_popcountll(x));
#else
  x -= (x >> 1) & 0x5555555555555555ull;
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  std::uint32_t const halves = static_cast<std::uint32_t>(x) + static_cast<std::uint32_t>(x >> 32);
  std::uint32_t const quarters = halves + (halves >> 16);
  return (quarters + (quarters >> 8)) & 0x7fu;
#endif
}

}  // namespace kvsift
