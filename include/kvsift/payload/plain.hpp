#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/half.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

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
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void store(G const& g, std::byte* vector, float const* x, std::uint32_t dim) {
    for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads()) from_float(x[i], reinterpret_cast<T*>(vector)[i]);
  }
};

using fp32_payload = plain<float>;
using fp16_payload = plain<fp16>;
using bf16_payload = plain<bf16>;

}  // namespace kvsift
