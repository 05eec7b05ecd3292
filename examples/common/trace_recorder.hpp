#pragma once
// What one layer was given, as a trace that `replay` reads.
#include <cstdint>
#include <string>
#include <vector>

#include <kvsift/evict/staging.hpp>
#include <reference_model/io/write_safetensors.hpp>
#include <reference_model/model/config.hpp>

namespace programs {

// Collects queries [T, Hq, D], keys and values [T, Hkv, D] of one layer, encoded as the cache was given them.
class trace_recorder {
 public:
  trace_recorder(std::uint32_t layer, reference_model::config const& c)
      : layer_(layer), heads_(c.heads), kv_heads_(c.kv_heads), head_dim_(c.head_dim) {}

  std::uint32_t layer() const { return layer_; }

  void saw(kvsift::arrivals const& piece) {
    std::size_t const queries = std::size_t{piece.tokens} * heads_ * head_dim_;
    std::size_t const keys = std::size_t{piece.tokens} * kv_heads_ * head_dim_;
    queries_.insert(queries_.end(), piece.queries, piece.queries + queries);
    keys_.insert(keys_.end(), piece.keys, piece.keys + keys);
    values_.insert(values_.end(), piece.values, piece.values + keys);
    tokens_ += piece.tokens;
  }

  // Writes the trace, whole or not at all. Throws bad_file.
  void write(std::string const& path) const {
    reference_model::write_safetensors(path, {{"queries", {tokens_, heads_, head_dim_}, queries_.data()},
                                              {"keys", {tokens_, kv_heads_, head_dim_}, keys_.data()},
                                              {"values", {tokens_, kv_heads_, head_dim_}, values_.data()}});
  }

 private:
  std::uint32_t layer_, heads_, kv_heads_, head_dim_;
  std::uint64_t tokens_ = 0;
  std::vector<float> queries_, keys_, values_;
};

}  // namespace programs
