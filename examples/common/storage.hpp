#pragma once
// How K and V are stored, by the word that policy files and --set use. The one place that knows the words.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <kvsift/payload/plain.hpp>
#include <kvsift/payload/quantised.hpp>

namespace programs {

inline constexpr char const* storage_words = "fp32, fp16, bf16, fp8, int8, int4 or int2";

// Calls f(payload) for the payload of a word; false if there is none.
template <class F>
bool with_storage(std::string_view word, F const& f) {
  if (word == "fp32") return f(kvsift::fp32_payload{}), true;
  if (word == "fp16") return f(kvsift::fp16_payload{}), true;
  if (word == "bf16") return f(kvsift::bf16_payload{}), true;
  if (word == "fp8") return f(kvsift::fp8_payload{}), true;
  if (word == "int8") return f(kvsift::int8_payload{}), true;
  if (word == "int4") return f(kvsift::int4_payload{}), true;
  if (word == "int2") return f(kvsift::int2_payload{}), true;
  return false;
}

inline bool is_storage(std::string_view word) {
  return with_storage(word, [](auto) {});
}

// Bytes of one key or value of head_dim components.
inline std::size_t vector_bytes(std::string_view word, std::uint32_t head_dim) {
  std::size_t bytes = 0;
  with_storage(word, [&]<class Payload>(Payload) { bytes = Payload::bytes(head_dim); });
  return bytes;
}

// Bits of a component; what a quantised vector has beside its components is not counted.
inline std::uint32_t component_bits(std::string_view word) {
  return static_cast<std::uint32_t>(vector_bytes(word, 64) - vector_bytes(word, 0)) / 8;
}

// Bits of a component in a full cache that is compared with: as stored, and 16 for fp8, int8, int4 and int2.
inline std::uint32_t unquantised_bits(std::string_view word) { return std::max(component_bits(word), 16u); }

}  // namespace programs
