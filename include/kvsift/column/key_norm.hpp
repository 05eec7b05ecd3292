#pragma once

#include <cstdint>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/exact.hpp>

namespace kvsift {

/// Squared L2 norm of the key, computed once when the token arrives: 4 bytes a slot instead of reading head_dim elements
/// again at every decision. Squared, because order is all that is asked of it.
struct key_square_norm {
  static constexpr char const* name = "key_square_norm";
  using element = float;
  static constexpr bool feeds_on_attention = false;
  static constexpr std::uint32_t width_if_stored = 1;
  bool stored = true;

  friend constexpr bool operator==(key_square_norm const&, key_square_norm const&) = default;

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return stored ? 1 : 0; }
  constexpr void drop() { stored = false; }
  constexpr bool merge(key_square_norm const& other) {
    stored = stored || other.stored;
    return true;
  }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const& token, head_context const&) const {
    float sum = 0;
    for (std::uint32_t i = 0; i < token.head_dim; ++i) sum += rounded_square(token.key[i]);
    *e = sum;
  }
  KVSIFT_HOST_DEVICE void observe(float*, mass const&, head_context const&) const {}
};

}  // namespace kvsift
