#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/config.hpp>
#include <kvsift/core/half.hpp>

namespace reference_model {

/// How the numbers of a matrix are stored.
enum class number : std::uint32_t { fp32, fp16, bf16 };

inline constexpr std::size_t bytes_of(number as) { return as == number::fp32 ? 4 : 2; }

/// Calls f with a T that is stored so.
KVSIFT_CALLS_EITHER
template <class F>
KVSIFT_HOST_DEVICE void with_number(number as, F const& f) {
  if (as == number::fp32) f(float{});
  else if (as == number::fp16) f(kvsift::fp16{});
  else f(kvsift::bf16{});
}

/// Weights that lie somewhere, empty if the model has none such. The shape stands where it is declared.
struct weight_view {
  void const* numbers = nullptr;
  std::size_t count = 0;
  number as = number::fp32;  ///< biases and norms are fp32

  float const* data() const { return static_cast<float const*>(numbers); }
  std::size_t size() const { return count; }
  bool empty() const { return count == 0; }
};

}  // namespace reference_model
