#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// All ones or all zeros. Loops that combine masks vectorise; those that choose with ?: often do not.
KVSIFT_HOST_DEVICE constexpr std::uint32_t mask_of(bool holds) { return 0u - static_cast<std::uint32_t>(holds); }

/// The product of two numbers whose signs are equal, rounded once, that no compiler fuses with a later addition or
/// subtraction: a score then has the same bits everywhere. Fused, the variance of a constant attention is not zero, and
/// exact ties break. The product passes through an integer, which loses it nothing (its sign bit is 0 already), hides it
/// from contraction, and still vectorises.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float rounded_product(float x, float y) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(x, y);
#else
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x * y) & 0x7fffffffu);
#endif
}
KVSIFT_HOST_DEVICE KVSIFT_INLINE double rounded_product(double x, double y) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(x, y);
#else
  return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, x * y) & 0x7fffffffffffffffu);
#endif
}
/// x squared, in the same way.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float rounded_square(float x) { return rounded_product(x, x); }

/// x if it is positive, else +0 (NaN too). Written so that loops vectorise.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float positive_part(float x) {
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) & mask_of(x > 0.0f));
}

}  // namespace kvsift
