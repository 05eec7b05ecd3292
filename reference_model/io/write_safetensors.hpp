#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <kvsift/core/half.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/element_type.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/io/whole_file.hpp>

namespace reference_model {

/// A tensor to be written: floats [product of shape], stored as f32, f16 or bf16 (rounded to nearest even); or bytes as they are,
/// under the name of their format.
struct tensor_to_write {
  std::string name;
  std::vector<std::uint64_t> shape;
  float const* data = nullptr;
  element_type stored = element_type::f32;
  void const* bytes = nullptr;    ///< in place of data: [product of shape x bytes of the format]
  element_format const* format = nullptr;  ///< of bytes
};

/// Writes a safetensors file, whole or not at all; tensors lie in the order given. Throws bad_file.
inline void write_safetensors(std::filesystem::path const& path, std::vector<tensor_to_write> const& tensors,
                              std::map<std::string, std::string> const& metadata = {}) {
  auto const size_of = [](tensor_to_write const& t) {
    std::uint64_t n = 1;
    for (std::uint64_t s : t.shape) n *= s;
    return n;
  };
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (tensor_to_write const& t : tensors) {
    if (t.name == "__metadata__" || header.contains(t.name))
      throw bad_file(path.string(), "tensor name '" + t.name + "' is taken; names are unique and not __metadata__");
    if (t.bytes == nullptr && t.stored == element_type::other)
      throw bad_file(path.string(), "tensor '" + t.name + "' is to be stored as another type; f32, f16 and bf16 are written");
    bool const wide = t.stored == element_type::f32;
    std::uint64_t const end = at + size_of(t) * (t.bytes != nullptr ? t.format->bytes : wide ? 4 : 2);
    header[t.name] = {{"dtype", t.bytes != nullptr ? std::string(t.format->name) : wide ? "F32" : t.stored == element_type::f16 ? "F16" : "BF16"},
                      {"shape", t.shape},
                      {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (json::type_error const&) {
    throw bad_file(path.string(), "a tensor's name or metadata is not valid UTF-8; the header is JSON; rename it");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins on a multiple of eight

  whole_file out(path);
  std::uint64_t const length = text.size();
  out.write(&length, 8);
  out.write(text.data(), text.size());
  for (tensor_to_write const& t : tensors) {
    std::uint64_t const n = size_of(t);
    if (t.bytes != nullptr) {
      out.write(t.bytes, n * t.format->bytes);
      continue;
    }
    if (t.stored == element_type::f32) {
      out.write(t.data, n * 4);
      continue;
    }
    std::vector<std::uint16_t> narrow(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      kvsift::fp16 half;
      kvsift::bf16 brain;
      if (t.stored == element_type::f16) {
        kvsift::from_float(t.data[i], half);
        narrow[i] = half.bits;
      } else {
        kvsift::from_float(t.data[i], brain);
        narrow[i] = brain.bits;
      }
    }
    out.write(narrow.data(), n * 2);
  }
  out.commit();
}

}  // namespace reference_model
