#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include <reference_model/text/characters.hpp>

namespace reference_model {

/// Offset of the first byte that is not valid UTF-8 (overlong forms, surrogates and numbers above U+10FFFF are not).
inline std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    character const c = character_at(text, i);
    if (!c.valid) return i;
    i += c.bytes;
  }
  return std::nullopt;
}

inline bool valid_utf8(std::string_view text) { return !first_invalid_utf8(text).has_value(); }

}  // namespace reference_model
