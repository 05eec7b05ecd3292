#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/half.hpp>

namespace kvsift {

/// Storage of an e4m3 number of 8 bits; bit layout of __nv_fp8_e4m3. A sign, four bits of exponent (bias 7), three of fraction:
///
///   x = +-(1 + fraction / 8) 2^(exponent - 7), for exponent 0 +-(fraction / 8) 2^-6
///
/// There is no infinity, and all ones without the sign are NaN: from 2^-9 to 448. The E4M3 of the OCP 8-bit floating point
/// specification, called e4m3fn elsewhere.
struct fp8 {
  std::uint8_t bits;
};

namespace detail {

/// The fp16 number 2^-8 times as large: its exponent has the same place in the middle of more, and subnormals stay such.
KVSIFT_HOST_DEVICE inline fp16 half_of(fp8 x) {
  std::uint32_t const magnitude = static_cast<std::uint32_t>(x.bits & 0x7fu) << 7;
  std::uint32_t const nan = (magnitude + 0x80u) & 0x4000u;  // the highest code alone carries; with this bit its exponent is full
  return {static_cast<std::uint16_t>(magnitude | nan | static_cast<std::uint32_t>(x.bits & 0x80u) << 8)};
}

}  // namespace detail

/// Exact for every one of the 256; NaN is a NaN.
KVSIFT_HOST_DEVICE inline float to_float(fp8 x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<std::uint16_t>(x.bits)));
  return to_float(fp16{static_cast<std::uint16_t>(halves)});
#else
  return to_float(detail::half_of(x)) * 0x1p8f;
#endif
}

/// to[0], to[1] = from[0], from[1]: GPUs from compute capability 8.9 on convert both at once.
KVSIFT_HOST_DEVICE inline void two_floats(fp8 const* from, float* to) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  std::uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(pair));
  to[0] = to_float(fp16{static_cast<std::uint16_t>(halves)});
  to[1] = to_float(fp16{static_cast<std::uint16_t>(halves >> 16)});
#else
  to[0] = to_float(from[0]);
  to[1] = to_float(from[1]);
#endif
}

/// Rounds to nearest even; beyond 448, infinities too, 448 with the sign, as CUDA's __NV_SATFINITE; NaN is 0x7f. The same bits everywhere.
KVSIFT_HOST_DEVICE inline void from_float(float x, fp8& out) {
  std::uint32_t const u = __builtin_bit_cast(std::uint32_t, x);
  std::uint32_t const magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    out.bits = 0x7fu;
    return;
  }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  out.bits = static_cast<std::uint8_t>(pair);
#else
  std::uint32_t result = 0;
  if (magnitude >= 0x43e00000u) {  // 448 and above
    result = 0x7eu;
  } else if (magnitude >= 0x3c800000u) {  // normal: 2^-6 and above
    std::uint32_t const rebased = magnitude - 0x3c000000u;
    result = (rebased + 0x7ffffu + ((rebased >> 20) & 1u)) >> 20;
  } else {  // subnormal: adding 2^14 aligns the value so that the addition itself rounds it
    float const aligned = __builtin_bit_cast(float, magnitude) + 0x1p14f;
    result = __builtin_bit_cast(std::uint32_t, aligned) - 0x46800000u;
  }
  out.bits = static_cast<std::uint8_t>(result | (u >> 24 & 0x80u));
#endif
}

}  // namespace kvsift
