#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/exact.hpp>
#include <kvsift/core/fp8.hpp>
#include <kvsift/core/half.hpp>

namespace kvsift {

/// Eight floats that are computed with together. The number is part of the arithmetic, not of the machine: sums over a
/// vector are eight partial sums added in a fixed order, so every executor and instruction set gives the same order.
inline constexpr unsigned lane_count = 8;

namespace detail {

/// Numbers of a kind that are read at once: sixteen bytes of them, and no more than eight numbers.
template <class T>
inline constexpr unsigned numbers_at_once = 16 / sizeof(T) < lane_count ? 16 / sizeof(T) : lane_count;

/// to[0 .. 7] = the eight numbers at p, which lies on a boundary of what is read at once: 16 bytes, of fp8 8.
template <class T>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void load_widely(T const* p, float* to) {
  constexpr unsigned count = numbers_at_once<T>;
  struct alignas(count * sizeof(T)) together {
    T x[count];
  };
  KVSIFT_UNROLL for (unsigned i = 0; i < lane_count / count; ++i) {
    together const part = reinterpret_cast<together const*>(p)[i];
    KVSIFT_UNROLL for (unsigned l = 0; l < count; l += 2) two_floats(part.x + l, to + i * count + l);
  }
}

}  // namespace detail

#if KVSIFT_HAS_VECTOR_EXTENSION

struct lanes {
  typedef float floats __attribute__((vector_size(32)));
  typedef std::int32_t ints __attribute__((vector_size(32)));
  typedef std::uint32_t words __attribute__((vector_size(32)));
  typedef std::uint16_t halves __attribute__((vector_size(16)));
  typedef std::int16_t shorts __attribute__((vector_size(16)));
  typedef std::uint8_t octets __attribute__((vector_size(8)));
  typedef std::uint8_t sixteen __attribute__((vector_size(16)));
  floats v;

  static KVSIFT_INLINE void widen(halves const& h, words& w) {
#if defined(__AVX2__) && !defined(__clang__)
    w = (words)__builtin_ia32_pmovzxwd256((shorts)h);  // g++ 12 takes four instructions otherwise
#else
    w = __builtin_convertvector(h, words);
#endif
  }
  KVSIFT_INLINE void fill(float x) { v = floats{x, x, x, x, x, x, x, x}; }
  KVSIFT_INLINE void load(float const* p) { __builtin_memcpy(&v, p, sizeof v); }
  /// Stays in a register from here on: tuned for some processors g++ reads what it loaded again for every use.
  KVSIFT_INLINE void hold() {
#if defined(__AVX__)
    __asm__("" : "+x"(v));
#endif
  }
  KVSIFT_INLINE void load(bf16 const* p) {
    halves h;
    __builtin_memcpy(&h, p, sizeof h);
    words w;
    widen(h, w);
    w <<= 16;
    __builtin_memcpy(&v, &w, sizeof v);
  }
  /// v = h times a power of two, exactly.
  KVSIFT_INLINE void take(halves const& h, float power) {
#if defined(__F16C__)
    v = __builtin_ia32_vcvtph2ps256((shorts)h) * power;
#else
    words w;
    widen(h, w);
    words const magnitude = (w & 0x7fffu) << 13;
    floats scaled;
    __builtin_memcpy(&scaled, &magnitude, sizeof scaled);
    scaled *= 0x1p112f * power;
    words u;
    __builtin_memcpy(&u, &scaled, sizeof u);
    words const special = (0u - (((w & 0x7c00u) + 0x400u) >> 15)) & 0x7f800000u;  // g++ compares such vectors one by one without AVX2
    u |= special | ((w & 0x8000u) << 16);
    __builtin_memcpy(&v, &u, sizeof v);
#endif
  }
  KVSIFT_INLINE void load(fp16 const* p) {
    halves h;
    __builtin_memcpy(&h, p, sizeof h);
    take(h, 1);
  }
  KVSIFT_INLINE void load(fp8 const* p) {
    octets const none{};
    octets o;
    __builtin_memcpy(&o, p, sizeof o);
    sixteen const high = __builtin_shufflevector(none, o, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    halves h = (halves)((shorts)high >> 1) & 0xbfff;  // detail::half_of, eight at once
    h |= (h + 0x80) & 0x4000;
    take(h, 0x1p8f);
  }
  /// The same from a 16-byte boundary on, of fp8 from one of 8 bytes.
  template <class T>
  KVSIFT_INLINE void load_aligned(T const* p) {
    load(p);
  }
  /// Eight whole numbers of Bits bits (8, 4 or 2), the first lowest.
  template <unsigned Bits>
  KVSIFT_INLINE void unpack(std::byte const* p) {
    words w;
    if constexpr (Bits == 8) {
      octets o;
      __builtin_memcpy(&o, p, sizeof o);
      w = __builtin_convertvector(o, words);
    } else {
      std::uint32_t packed = 0;
      __builtin_memcpy(&packed, p, Bits);
      words const places = words{0, 1, 2, 3, 4, 5, 6, 7} * Bits;
      w = ((words{} + packed) >> places) & ((1u << Bits) - 1);
    }
    v = __builtin_convertvector((ints)w, floats);
  }
  /// v x + y of numbers v, x >= 0: two roundings, whatever the compiler fuses elsewhere.
  KVSIFT_INLINE void scale_and_add(float x, float y) { v = (floats)((words)(v * x) & 0x7fffffffu) + y; }
  KVSIFT_INLINE void store(float* p) const { __builtin_memcpy(p, &v, sizeof v); }
  KVSIFT_INLINE void add_product(lanes const& a, lanes const& b) { v += a.v * b.v; }
  KVSIFT_INLINE void subtract_product(lanes const& a, lanes const& b) { v -= a.v * b.v; }
  KVSIFT_INLINE void add(lanes const& a) { v += a.v; }
  KVSIFT_INLINE void scale(float x) { v *= x; }
  KVSIFT_INLINE void raise_to(lanes const& a) { v = a.v > v ? a.v : v; }
  KVSIFT_INLINE float sum() const {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  }
  /// The product with another eight.
  KVSIFT_INLINE float dot(lanes const& a) const {
    lanes products;
    products.v = v * a.v;
    return products.sum();
  }
};

/// out[i x apart] = x[i].sum() for four vectors, added side by side.
KVSIFT_INLINE void sum_four(lanes const* x, float* out, std::size_t apart) {
  typedef float quad __attribute__((vector_size(16)));
  quad half[4];
  KVSIFT_UNROLL for (unsigned i = 0; i < 4; ++i)
    half[i] = __builtin_shufflevector(x[i].v, x[i].v, 0, 1, 2, 3) + __builtin_shufflevector(x[i].v, x[i].v, 4, 5, 6, 7);
  quad const a = __builtin_shufflevector(half[0], half[1], 0, 4, 1, 5) + __builtin_shufflevector(half[0], half[1], 2, 6, 3, 7);
  quad const b = __builtin_shufflevector(half[2], half[3], 0, 4, 1, 5) + __builtin_shufflevector(half[2], half[3], 2, 6, 3, 7);
  quad const sums = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
  KVSIFT_UNROLL for (unsigned i = 0; i < 4; ++i) out[i * apart] = sums[i];
}

#else

struct lanes {
  float v[lane_count];

  template <class T>
  KVSIFT_HOST_DEVICE void load(T const* p) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] = to_float(p[l]);
  }
  template <class T>
  KVSIFT_HOST_DEVICE void load_aligned(T const* p) {
    detail::load_widely(p, v);
  }
  KVSIFT_HOST_DEVICE void fill(float x) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] = x;
  }
  KVSIFT_HOST_DEVICE void hold() {}
  template <unsigned Bits>
  KVSIFT_HOST_DEVICE void unpack(std::byte const* p) {
    for (unsigned l = 0; l < lane_count; ++l)
      v[l] = static_cast<float>((static_cast<unsigned>(p[l * Bits / 8]) >> (l * Bits % 8)) & ((1u << Bits) - 1));
  }
  KVSIFT_HOST_DEVICE void scale_and_add(float x, float y) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] = rounded_product(v[l], x) + y;
  }
  KVSIFT_HOST_DEVICE void store(float* p) const {
    for (unsigned l = 0; l < lane_count; ++l) p[l] = v[l];
  }
  KVSIFT_HOST_DEVICE void add_product(lanes const& a, lanes const& b) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] += a.v[l] * b.v[l];
  }
  KVSIFT_HOST_DEVICE void subtract_product(lanes const& a, lanes const& b) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] -= a.v[l] * b.v[l];
  }
  KVSIFT_HOST_DEVICE void add(lanes const& a) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] += a.v[l];
  }
  KVSIFT_HOST_DEVICE void scale(float x) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] *= x;
  }
  KVSIFT_HOST_DEVICE void raise_to(lanes const& a) {
    for (unsigned l = 0; l < lane_count; ++l) v[l] = a.v[l] > v[l] ? a.v[l] : v[l];
  }
  KVSIFT_HOST_DEVICE float sum() const {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  }
  KVSIFT_HOST_DEVICE float dot(lanes const& a) const {  // one register for what has been added
    float sum = v[0] * a.v[0];
    KVSIFT_UNROLL for (unsigned l = 1; l < lane_count; ++l) sum += v[l] * a.v[l];
    return sum;
  }
};

/// out[i x apart] = x[i].sum() for four vectors.
KVSIFT_HOST_DEVICE inline void sum_four(lanes const* x, float* out, std::size_t apart) {
  for (unsigned i = 0; i < 4; ++i) out[i * apart] = x[i].sum();
}

#endif

/// e^x for x <= 0 (any x up to 88), relative error below 2e-7; 0 below -87.3. Without a branch, so that loops vectorise.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float exp_of(float x) {
  std::uint32_t const counts = ~mask_of(x < -87.3f);
  float const clamped = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x) & counts);
  float const rounder = 12582912.0f;  // 1.5 x 2^23: adding it rounds to a whole number
  float const shifted = clamped * 1.44269504f + rounder;
  float const whole = shifted - rounder;
  float const r = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  float const fraction = p * (r * r) + r + 1.0f;
  std::uint32_t const exponent = (__builtin_bit_cast(std::uint32_t, shifted) - 0x4b400000u) << 23;
  float const power = __builtin_bit_cast(float, (exponent + 0x3f800000u) & counts);
  return fraction * power;
}

}  // namespace kvsift
