#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/fp8.hpp>
#include <kvsift/core/half.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// A vector [dim] stored element by element as T: float, fp16, bf16 or fp8. dim x sizeof(T) bytes a vector; rounds to nearest
/// even on store, exact on load. fp8 has no scale: components below 2^-6 keep fewer digits, beyond 448 they are 448.
template <class T>
struct plain {
  using element = T;

  KVSIFT_HOST_DEVICE static constexpr std::size_t bytes(std::uint32_t dim) { return dim * sizeof(T); }

  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void load(std::byte const* vector, std::size_t first, lanes& out) {
    out.load(reinterpret_cast<T const*>(vector) + first);
  }
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE float load(std::byte const* vector, std::size_t i) {
    return to_float(reinterpret_cast<T const*>(vector)[i]);
  }
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void store(G const& g, std::byte* vector, float const* x, std::uint32_t dim) {
    for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads()) from_float(x[i], reinterpret_cast<T*>(vector)[i]);
  }
};

/// The same where every vector begins on a 16-byte boundary, of fp8 on one of 8 bytes: a GPU then reads as many bytes at once, and
/// everybody the same numbers.
template <class T>
struct aligned_plain : plain<T> {
  using plain<T>::load;
  static constexpr bool is_aligned = true;

  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void load(std::byte const* vector, std::size_t first, lanes& out) {
    out.load_aligned(reinterpret_cast<T const*>(vector) + first);
  }
};

namespace detail {

/// A payload whose vectors lie in the planes of a cache: those of 8, 16, 24, ... components are aligned.
template <class Payload>
struct in_planes : Payload {};
template <class T>
struct in_planes<plain<T>> : plain<T> {
  using aligned = aligned_plain<T>;
};

/// Calls f with the payload that reads vectors of `dim` components best.
KVSIFT_CALLS_EITHER
template <class Payload, class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void with_best_load(std::size_t dim, F const& f) {
  if constexpr (requires { typename Payload::aligned; }) {
    if (dim % lane_count == 0) return f(typename Payload::aligned{});
  }
  f(Payload{});
}

}  // namespace detail

using fp32_payload = plain<float>;
using fp16_payload = plain<fp16>;
using bf16_payload = plain<bf16>;
using fp8_payload = plain<fp8>;

}  // namespace kvsift
