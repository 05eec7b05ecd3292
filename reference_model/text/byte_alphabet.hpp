#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <reference_model/text/characters.hpp>

namespace reference_model {

/// The characters that stand for bytes in the files of byte-level tokenizers: a printable byte of Latin-1 is its own
/// character, the others are those from U+0100 on, in order.
class byte_alphabet {
 public:
  byte_alphabet() {
    byte_of_.fill(none);
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      bool const printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
      byte_of_[printable ? b : next++] = static_cast<short>(b);
    }
  }

  /// The bytes that the characters of a token stand for; nothing if one of them stands for none.
  std::optional<std::string> bytes_of(std::string_view token) const {
    std::string bytes;
    for (std::size_t i = 0; i < token.size();) {
      character const c = character_at(token, i);
      if (c.code >= byte_of_.size() || byte_of_[c.code] == none) return std::nullopt;
      bytes += static_cast<char>(static_cast<unsigned char>(byte_of_[c.code]));
      i += c.bytes;
    }
    return bytes;
  }

 private:
  static constexpr short none = -1;
  std::array<short, 0x100 + 68> byte_of_{};  // [character]
};

}  // namespace reference_model
