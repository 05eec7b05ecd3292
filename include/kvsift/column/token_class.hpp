#pragma once

#include <cstdint>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/recipe.hpp>

namespace kvsift {

/// What kinds of token a slot's is, as whoever feeds the cache says (arrivals::kinds). 1 byte a slot.
struct token_class {
  static constexpr char const* name = "token_class";
  using element = std::uint8_t;
  static constexpr bool feeds_on_attention = false;
  static constexpr std::uint32_t width_if_stored = 1;
  bool stored = true;

  friend constexpr bool operator==(token_class const&, token_class const&) = default;

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return stored ? 1 : 0; }
  constexpr void drop() { stored = false; }
  constexpr bool merge(token_class const& other) {
    stored = stored || other.stored;
    return true;
  }
  KVSIFT_HOST_DEVICE void admit(std::uint8_t* e, arrival const& token, head_context const&) const {
    *e = static_cast<std::uint8_t>(token.kinds);
  }
  KVSIFT_HOST_DEVICE void observe(std::uint8_t*, mass const&, head_context const&) const {}
};

}  // namespace kvsift
