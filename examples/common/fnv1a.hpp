#pragma once
// FNV-1a, byte by byte: tells texts and numbers apart, and what was damaged from what was not.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace programs {

class fnv1a {
 public:
  void add(std::string_view text) {
    for (char const c : text) add_byte(static_cast<unsigned char>(c));
  }
  void add_word(std::uint64_t word) {
    for (int i = 0; i < 64; i += 8) add_byte(static_cast<unsigned char>(word >> i));
  }
  // 16 digits.
  std::string hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum_));
    return text;
  }

 private:
  void add_byte(unsigned char byte) { sum_ = (sum_ ^ byte) * 0x100000001b3u; }
  std::uint64_t sum_ = 0xcbf29ce484222325u;
};

}  // namespace programs
