#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/half.hpp>
#include <kvsift/core/lanes.hpp>

namespace kvsift {

/// A vector [dim] stored element by element as T: float, fp16 or bf16. dim x sizeof(T) bytes a vector; rounds to nearest
/// even on store, exact on load.
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
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void store(std::byte* vector, std::uint32_t i, float x) {
    from_float(x, reinterpret_cast<T*>(vector)[i]);
  }
};

using fp32_payload = plain<float>;
using fp16_payload = plain<fp16>;
using bf16_payload = plain<bf16>;

}  // namespace kvsift
