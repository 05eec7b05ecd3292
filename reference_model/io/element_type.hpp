#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <kvsift/core/half.hpp>
#include <reference_model/io/file_source.hpp>

namespace reference_model {

/// How a checkpoint stores a number.
enum class element_type { f32, f16, bf16, other };

struct element_format {
  std::string_view name;  ///< as safetensors spells it
  std::uint32_t bytes;
  element_type type;
};

inline constexpr std::array<element_format, 15> element_formats{{
    {"F32", 4, element_type::f32},   {"F16", 2, element_type::f16},     {"BF16", 2, element_type::bf16},
    {"F64", 8, element_type::other}, {"F8_E4M3", 1, element_type::other}, {"F8_E5M2", 1, element_type::other},
    {"I64", 8, element_type::other}, {"U64", 8, element_type::other},   {"I32", 4, element_type::other},
    {"U32", 4, element_type::other}, {"I16", 2, element_type::other},   {"U16", 2, element_type::other},
    {"I8", 1, element_type::other},  {"U8", 1, element_type::other},    {"BOOL", 1, element_type::other},
}};

/// The format called `name`, or null.
inline element_format const* find_format(std::string_view name) {
  auto const found = std::find_if(element_formats.begin(), element_formats.end(),
                                  [&](element_format const& f) { return f.name == name; });
  return found == element_formats.end() ? nullptr : &*found;
}

/// Reads `count` numbers stored as `type` (not `other`) from byte `offset` and widens them to float. out [count].
inline void read_floats(file_source& file, std::uint64_t offset, element_type type, std::uint64_t count, float* out) {
  if (type == element_type::f32) return file.read(offset, out, count * 4);
  std::array<std::uint16_t, 16384> part;
  while (count > 0) {
    std::uint64_t const n = std::min<std::uint64_t>(count, part.size());
    file.read(offset, part.data(), n * 2);
    for (std::size_t i = 0; i < n; ++i)
      out[i] = type == element_type::bf16 ? kvsift::to_float(kvsift::bf16{part[i]}) : kvsift::to_float(kvsift::fp16{part[i]});
    offset += n * 2;
    count -= n;
    out += n;
  }
}

/// Index of the first NaN or infinity of x [count], if there is one.
inline std::optional<std::uint64_t> first_not_finite(float const* x, std::uint64_t count) {
  constexpr std::uint32_t exponent = 0x7f800000u;
  for (std::uint64_t i = 0; i < count; i += 4096) {
    std::uint64_t const end = std::min<std::uint64_t>(count, i + 4096);
    std::uint32_t bad = 0;  // no early exit in the inner loop, so that it vectorises
    for (std::uint64_t j = i; j < end; ++j) bad |= (std::bit_cast<std::uint32_t>(x[j]) & exponent) == exponent ? 1u : 0u;
    if (bad == 0) continue;
    for (std::uint64_t j = i; j < end; ++j)
      if ((std::bit_cast<std::uint32_t>(x[j]) & exponent) == exponent) return j;
  }
  return std::nullopt;
}

}  // namespace reference_model
