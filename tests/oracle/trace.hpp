#pragma once

#include <cstddef>
#include <vector>

namespace oracle {

/// A recorded layer, teacher-forced. Query head q reads KV head q / (query_heads / kv_heads).
struct trace {
  int tokens = 0;
  int query_heads = 0;
  int kv_heads = 0;
  int dim = 0;
  std::vector<float> queries;  // [tokens, query_heads, dim]
  std::vector<float> keys;     // [tokens, kv_heads, dim]
  std::vector<float> values;   // [tokens, kv_heads, dim]
  int bits = 0;
  std::vector<float> projection;  // [dim, bits], or empty
  std::vector<float> uniforms;    // [tokens, kv_heads], or empty

  int group() const { return query_heads / kv_heads; }
  float const* query(int token, int head) const { return &queries[at(token, head, query_heads)]; }
  float const* key(int token, int head) const { return &keys[at(token, head, kv_heads)]; }
  double uniform(int token, int head) const {
    return static_cast<double>(uniforms.at(static_cast<std::size_t>(token * kv_heads + head)));
  }
  float const* value(int token, int head) const { return &values[at(token, head, kv_heads)]; }

 private:
  std::size_t at(int token, int head, int heads) const {
    return (static_cast<std::size_t>(token) * static_cast<std::size_t>(heads) + static_cast<std::size_t>(head)) *
           static_cast<std::size_t>(dim);
  }
};

}  // namespace oracle
