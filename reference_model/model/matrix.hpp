#pragma once

#include <cstddef>
#include <cstdint>

namespace reference_model {

/// Weights that lie somewhere: an array of floats, empty if the model has none such. The shape stands where it is declared.
struct weight_view {
  float const* numbers = nullptr;
  std::size_t count = 0;

  float const* data() const { return numbers; }
  std::size_t size() const { return count; }
  bool empty() const { return count == 0; }
};

}  // namespace reference_model
