#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// Storage of an IEEE binary16 number; bit layout of __half.
struct fp16 {
  std::uint16_t bits;
};

/// Storage of a bfloat16 number; bit layout of __nv_bfloat16.
struct bf16 {
  std::uint16_t bits;
};

KVSIFT_HOST_DEVICE inline float to_float(float x) { return x; }

KVSIFT_HOST_DEVICE inline float to_float(bf16 x) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16);
}

/// Exact for every binary16 number, subnormals, infinities and NaN included.
KVSIFT_HOST_DEVICE inline float to_float(fp16 x) {
#if defined(__CUDA_ARCH__)
  float whole;
  asm("cvt.f32.f16 %0, %1;" : "=f"(whole) : "h"(x.bits));
  return whole;
#else
  std::uint32_t const sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  std::uint32_t const magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  // The exponent is rebased by a multiplication with 2^112, which also normalises subnormals.
  float const scaled = __builtin_bit_cast(float, magnitude) * 0x1p112f;
  std::uint32_t const special = (x.bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, scaled) | special | sign);
#endif
}

/// to[0], to[1] = from[0], from[1].
template <class T>
KVSIFT_HOST_DEVICE inline void two_floats(T const* from, float* to) {
  to[0] = to_float(from[0]);
  to[1] = to_float(from[1]);
}

KVSIFT_HOST_DEVICE inline void from_float(float x, float& out) { out = x; }

/// Rounds to nearest even; NaN stays NaN.
KVSIFT_HOST_DEVICE inline void from_float(float x, bf16& out) {
  std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x);
  bool const nan = (u & 0x7fffffffu) > 0x7f800000u;
  std::uint32_t const rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  out.bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : rounded);
}

/// Rounds to nearest even; beyond 65504 infinity; NaN stays NaN.
KVSIFT_HOST_DEVICE inline void from_float(float x, fp16& out) {
  std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x);
  std::uint32_t const sign = (u >> 16) & 0x8000u;
  std::uint32_t const magnitude = u & 0x7fffffffu;
  std::uint32_t result = 0;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above round to infinity
    result = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal: 2^-14 and above
    std::uint32_t const rebased = magnitude - 0x38000000u;
    result = (rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13;
  } else {  // subnormal: adding 1/2 aligns the value so that the addition itself rounds it
    float const aligned = __builtin_bit_cast(float, magnitude) + 0.5f;
    result = __builtin_bit_cast(std::uint32_t, aligned) - 0x3f000000u;
  }
  out.bits = static_cast<std::uint16_t>(result | sign);
}

}  // namespace kvsift
