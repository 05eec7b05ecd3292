#pragma once
// What one layer is given while a session runs.
#include <cstdint>
#include <string>

#include <common/trace_file.hpp>
#include <kvsift/evict/staging.hpp>
#include <reference_model/model/config.hpp>

namespace programs {

class trace_recorder {
 public:
  trace_recorder(std::uint32_t layer, reference_model::config const& c)
      : layer_(layer), seen_{.query_heads = c.heads, .kv_heads = c.kv_heads, .dim = c.head_dim} {}

  std::uint32_t layer() const { return layer_; }

  void saw(kvsift::arrivals const& piece) {
    std::size_t const queries = std::size_t{piece.tokens} * seen_.query_heads * seen_.dim;
    std::size_t const keys = std::size_t{piece.tokens} * seen_.kv_heads * seen_.dim;
    seen_.queries.insert(seen_.queries.end(), piece.queries, piece.queries + queries);
    seen_.keys.insert(seen_.keys.end(), piece.keys, piece.keys + keys);
    seen_.values.insert(seen_.values.end(), piece.values, piece.values + keys);
    seen_.tokens += piece.tokens;
  }

  // Writes the trace, whole or not at all. Throws bad_file.
  void write(std::string const& path) const { save_trace(path, seen_); }

 private:
  std::uint32_t layer_;
  trace seen_;
};

}  // namespace programs
