#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/exact.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// A vector [dim] in Bits bits a component, with a scale and a low of its own in front of the codes: 8 + ceil(dim x Bits / 8) bytes.
///
///   low = min x, scale = max(max x - min x, 1e-6) / (2^Bits - 1), code = round_half_even((x - low) / scale), x' = code scale + low
///
/// |x - x'| <= scale / 2, but for rounding; a constant vector is exact. Codes are packed, the first component lowest. A vector is
/// quantised once, when it is stored, and never again: moves copy bytes. NaN counts as 0, what lies beyond 1e30 as 1e30.
/// cold-compress (its zero is low + scale 2^(Bits-1); it quantises all heads of a token by one scale, and anew in every step).
template <unsigned Bits>
requires(Bits == 8 || Bits == 4 || Bits == 2)
struct quantised {
  KVSIFT_HOST_DEVICE static constexpr std::size_t bytes(std::uint32_t dim) { return header + (std::size_t{dim} * Bits + 7) / 8; }

  KVSIFT_HOST_DEVICE static KVSIFT_INLINE float load(std::byte const* vector, std::size_t i) {
    std::uint32_t const byte = static_cast<std::uint32_t>(vector[header + i * Bits / 8]);
    std::uint32_t const code = (byte >> (i * Bits % 8)) & most;
    return rounded_product(static_cast<float>(static_cast<std::int32_t>(code)), scale_of(vector)) + low_of(vector);
  }
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void load(std::byte const* vector, std::size_t first, lanes& out) {
    out.unpack<Bits>(vector + header + first * Bits / 8);
    out.scale_and_add(scale_of(vector), low_of(vector));
  }
  /// Every thread finds the range itself, in one order; each packs bytes of its own. O(dim) reads a thread.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE static void store(G const& g, std::byte* vector, float const* x, std::uint32_t dim) {
    float low = tame(x[0]), high = low;
    for (std::uint32_t i = 1; i < dim; ++i) {
      float const value = tame(x[i]);
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    float const range = high - low > 1e-6f ? high - low : 1e-6f;
    float const scale = range / static_cast<float>(most);
    if (g.thread_rank() == 0) {
      __builtin_memcpy(vector, __builtin_addressof(scale), sizeof scale);
      __builtin_memcpy(vector + sizeof scale, __builtin_addressof(low), sizeof low);
    }
    constexpr std::uint32_t in_byte = 8 / Bits;
    std::uint32_t const codes = (dim + in_byte - 1) / in_byte;
    for (std::uint32_t b = g.thread_rank(); b < codes; b += g.num_threads()) {
      std::uint32_t packed = 0;
      for (std::uint32_t i = 0; i < in_byte && b * in_byte + i < dim; ++i) {
        float const steps = __builtin_rintf((tame(x[b * in_byte + i]) - low) / scale);
        std::uint32_t const code = steps > static_cast<float>(most) ? most : static_cast<std::uint32_t>(static_cast<std::int32_t>(steps));
        packed |= code << (i * Bits);
      }
      vector[header + b] = static_cast<std::byte>(packed);
    }
  }
  KVSIFT_HOST_DEVICE static float scale_of(std::byte const* vector) { return word(vector); }
  KVSIFT_HOST_DEVICE static float low_of(std::byte const* vector) { return word(vector + sizeof(float)); }

 private:
  static constexpr std::size_t header = 2 * sizeof(float);
  static constexpr std::uint32_t most = (1u << Bits) - 1;

  KVSIFT_HOST_DEVICE static KVSIFT_INLINE float word(std::byte const* at) {
    float x;
    __builtin_memcpy(&x, at, sizeof x);
    return x;
  }
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE float tame(float x) {
    float const y = x < 1e30f ? x : 1e30f;  // NaN too
    return x != x ? 0.0f : y > -1e30f ? y : -1e30f;
  }
};

using int8_payload = quantised<8>;
using int4_payload = quantised<4>;
using int2_payload = quantised<2>;

}  // namespace kvsift
