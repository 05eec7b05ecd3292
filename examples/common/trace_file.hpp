#pragma once
// Traces: what one layer was given, in a safetensors file. `generate` records them, `replay` reads them.
#include <cstdint>
#include <string>
#include <vector>

namespace programs {

// queries [T, Hq, D], keys and values [T, Hkv, D], encoded as a cache is given them.
struct trace {
  std::uint32_t tokens = 0, query_heads = 0, kv_heads = 0, dim = 0, bits = 0;
  std::vector<float> queries{}, keys{}, values{};
  std::vector<float> projection{};  // [D, bits] of signatures, or empty
  std::vector<float> uniforms{};    // [T, Hkv], the draws of policies that draw, or empty
};

// Throws bad_file, also unless every dimension is 1 to 1000000, Hq a multiple of Hkv, bits 4 to 64, and draws in [0, 1).
trace load_trace(std::string const& path);
trace load_trace(std::string const& name, std::string bytes);  // of a file that is in memory

// Each writes its file whole or not at all. Throws bad_file.
void save_trace(std::string const& path, trace const& t);
void save_attention(std::string const& path, std::vector<std::uint64_t> const& shape,
                    std::vector<float> const& outputs);

}  // namespace programs
