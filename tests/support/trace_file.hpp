#pragma once

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include <oracle/trace.hpp>
#include <support/safetensors_lite.hpp>

namespace support {

/// The trace of a recorded file: queries [T, Hq, D], keys and values [T, Hkv, D].
inline oracle::trace read_trace(std::filesystem::path const& path) {
  std::map<std::string, tensor> tensors = read_safetensors(path);
  tensor& queries = tensors.at("queries");
  tensor& keys = tensors.at("keys");
  tensor& values = tensors.at("values");
  if (queries.shape.size() != 3 || keys.shape.size() != 3 || keys.shape != values.shape ||
      keys.shape[0] != queries.shape[0] || keys.shape[2] != queries.shape[2] || keys.shape[1] == 0 ||
      queries.shape[1] % keys.shape[1] != 0) {
    throw std::runtime_error(path.string() + ": queries, keys and values do not fit together");
  }
  oracle::trace t;
  t.tokens = static_cast<int>(queries.shape[0]);
  t.query_heads = static_cast<int>(queries.shape[1]);
  t.kv_heads = static_cast<int>(keys.shape[1]);
  t.dim = static_cast<int>(queries.shape[2]);
  t.queries = queries.numbers;
  t.keys = keys.numbers;
  t.values = values.numbers;
  if (auto const found = tensors.find("projection"); found != tensors.end()) {
    t.bits = static_cast<int>(found->second.shape.at(1));
    t.projection = found->second.numbers;
  }
  if (auto const found = tensors.find("uniforms"); found != tensors.end()) t.uniforms = found->second.numbers;
  return t;
}

/// The same, as the bytes of a file that `replay` reads.
inline std::string trace_bytes(oracle::trace const& t) {
  auto const n = [](int x) { return static_cast<std::size_t>(x); };
  std::map<std::string, tensor> tensors{{"queries", {{n(t.tokens), n(t.query_heads), n(t.dim)}, t.queries}},
                                        {"keys", {{n(t.tokens), n(t.kv_heads), n(t.dim)}, t.keys}},
                                        {"values", {{n(t.tokens), n(t.kv_heads), n(t.dim)}, t.values}}};
  if (t.bits != 0) tensors["projection"] = {{n(t.dim), n(t.bits)}, t.projection};
  if (!t.uniforms.empty()) tensors["uniforms"] = {{n(t.tokens), n(t.kv_heads)}, t.uniforms};
  return to_safetensors(tensors);
}

}  // namespace support
