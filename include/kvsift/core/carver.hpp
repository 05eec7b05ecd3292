#pragma once

#include <cstddef>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// Hands out arrays of one block of memory, each on a 64-byte boundary. With a null base it only counts, so that the size
/// that is asked for and the pointers that are carved cannot disagree.
struct carver {
  std::byte* base = nullptr;
  std::size_t bytes = 0;  ///< handed out so far

  template <class T>
  KVSIFT_HOST_DEVICE T* take(std::size_t count) {
    std::byte* const at = base == nullptr ? nullptr : base + bytes;
    bytes += (count * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
};

}  // namespace kvsift
