#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// x squared, rounded once, that no compiler fuses with a later addition or subtraction: a score then has the same bits
/// everywhere. Fused, the variance of a constant attention is not zero, and exact ties break. The square passes through
/// an integer, which loses it nothing (its sign bit is 0 already), hides it from contraction, and still vectorises.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float rounded_square(float x) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(x, x);
#else
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x * x) & 0x7fffffffu);
#endif
}

}  // namespace kvsift
