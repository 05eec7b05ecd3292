#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace reference_model {

/// Offset of the first byte that is not valid UTF-8 (overlong forms, surrogates and numbers above U+10FFFF are not).
inline std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    unsigned const lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    std::size_t const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return i;
    // Only the second byte's range depends on the lead byte.
    unsigned const low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned const high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i + 1) < low || byte(i + 1) > high) return i;
    for (std::size_t j = 2; j < length; ++j)
      if ((byte(i + j) & 0xc0) != 0x80) return i;
    i += length;
  }
  return std::nullopt;
}

inline bool valid_utf8(std::string_view text) { return !first_invalid_utf8(text).has_value(); }

}  // namespace reference_model
