#pragma once

#include <cstdint>

#include <kvsift/column/concepts.hpp>

namespace kvsift {

/// Sum of the magnitudes of a value's components, computed once when the token arrives, in the order of the components.
/// 4 bytes a slot.
struct value_norm {
  static constexpr char const* name = "value_norm";
  using element = float;
  static constexpr bool feeds_on_attention = false;
  static constexpr std::uint32_t width_if_stored = 1;
  bool stored = true;

  friend constexpr bool operator==(value_norm const&, value_norm const&) = default;

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return stored ? 1 : 0; }
  constexpr void drop() { stored = false; }
  constexpr bool merge(value_norm const& other) {
    stored = stored || other.stored;
    return true;
  }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const& token, head_context const&) const {
    float sum = 0;
    for (std::uint32_t i = 0; i < token.head_dim; ++i) sum += token.value[i] < 0 ? -token.value[i] : token.value[i];
    *e = sum;
  }
  KVSIFT_HOST_DEVICE void observe(float*, mass const&, head_context const&) const {}
};

}  // namespace kvsift
