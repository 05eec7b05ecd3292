// Input: a trace file. What is read is fed to a small cache, as replay does, or is refused.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <common/trace_file.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/named.hpp>
#include <reference_model/io/bad_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  programs::trace t;
  try {
    t = programs::load_trace("trace.safetensors", std::string(reinterpret_cast<char const*>(data), size));
  } catch (reference_model::bad_file const&) {
    return 0;
  }
  if (t.dim > 64 || t.query_heads > 16) return 0;
  kvsift::cache_shape const shape{1, t.kv_heads, t.query_heads / t.kv_heads, t.dim, 1};
  std::uint32_t const prompt = std::min<std::uint32_t>(t.tokens, 24);
  kvsift::kv_tensor cache{shape, kvsift::roco(8, 2, 3), {.max_piece = prompt}};
  std::vector<float> out(std::size_t{prompt} * t.query_heads * t.dim);
  kvsift::step(kvsift::serial_executor{}, cache[0], {t.queries.data(), t.keys.data(), t.values.data(), prompt}, out.data());
  std::size_t const q = std::size_t{t.query_heads} * t.dim, k = std::size_t{t.kv_heads} * t.dim;
  for (std::size_t i = prompt; i < std::min<std::size_t>(t.tokens, 64); ++i) {
    kvsift::step(kvsift::serial_executor{}, cache[0], {&t.queries[i * q], &t.keys[i * k], &t.values[i * k], 1}, out.data());
    kvsift::evict(kvsift::serial_executor{}, cache);
  }
  return 0;
}
