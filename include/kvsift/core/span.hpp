#pragma once

#include <cstddef>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// A contiguous view [size] that both the CPU and a kernel can index (std::span's operators are host functions).
template <class T>
struct span {
  T* data = nullptr;
  std::size_t size = 0;

  KVSIFT_HOST_DEVICE constexpr T& operator[](std::size_t i) const { return data[i]; }
  KVSIFT_HOST_DEVICE constexpr T* begin() const { return data; }
  KVSIFT_HOST_DEVICE constexpr T* end() const { return data + size; }
  KVSIFT_HOST_DEVICE constexpr bool empty() const { return size == 0; }
};

}  // namespace kvsift
