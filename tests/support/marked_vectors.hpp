#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <kvsift/core/shape.hpp>
#include <kvsift/evict/staging.hpp>

namespace support {

/// Tokens whose vectors tell which token, head, sequence and layer they belong to. Components are multiples of 1/16
/// between -2 and 2: exact in fp16 and bf16; of 1/8 if coarse: exact in fp8, too.
struct marked_vectors {
  enum class kind : std::uint64_t { query = 1, key = 2, value = 3 };

  std::uint64_t seed = 1;
  kvsift::cache_shape shape{};
  bool silent = false;                ///< queries are zero: every key attracts the same attention
  std::vector<std::uint32_t> heads{}; ///< KV head h brings what head heads[h] would; empty: itself
  bool coarse = false;

  float component(kind what, std::uint32_t layer, std::uint32_t sequence, std::uint32_t head, std::uint32_t position,
                  std::uint32_t d) const {
    std::uint64_t x = seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(what);
    for (std::uint64_t const part : {layer, sequence, head, position, d}) {
      x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u + part;
      x = (x ^ (x >> 32)) * 0x94d049bb133111ebu;
    }
    if (coarse) return static_cast<float>(static_cast<int>((x >> 40) % 33) - 16) / 8.0f;
    return static_cast<float>(static_cast<int>((x >> 40) % 65) - 32) / 16.0f;
  }
  std::vector<float> vector(kind what, std::uint32_t layer, std::uint32_t sequence, std::uint32_t head,
                            std::uint32_t position) const {
    std::vector<float> v;
    for (std::uint32_t d = 0; d < shape.head_dim; ++d) v.push_back(component(what, layer, sequence, head, position, d));
    return v;
  }
  std::uint32_t source(std::uint32_t head) const { return heads.empty() ? head : heads[head]; }

  /// Arrays of a piece for one layer, as `step` takes them.
  struct piece {
    std::vector<float> queries, keys, values;
    std::uint32_t tokens = 0;
    kvsift::arrivals view() const { return {queries.data(), keys.data(), values.data(), tokens}; }
  };
  piece make_piece(std::uint32_t layer, std::uint32_t first, std::uint32_t tokens) const {
    piece p;
    for (std::uint32_t s = 0; s < shape.sequences; ++s) add_sequence(p, layer, s, first, tokens);
    return p;
  }
  /// A sequence's tokens behind those that are there; sequences of a piece may be at different positions.
  void add_sequence(piece& p, std::uint32_t layer, std::uint32_t s, std::uint32_t first, std::uint32_t tokens) const {
    p.tokens = tokens;
    std::size_t const queries = p.queries.size();
    auto const add = [&](std::vector<float>& to, kind what, std::uint32_t head, std::uint32_t position) {
      std::vector<float> const v = vector(what, layer, s, head, position);
      to.insert(to.end(), v.begin(), v.end());
    };
    for (std::uint32_t t = 0; t < tokens; ++t)
      for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
        add(p.keys, kind::key, source(h), first + t);
        add(p.values, kind::value, source(h), first + t);
        for (std::uint32_t g = 0; g < shape.group; ++g) add(p.queries, kind::query, source(h) * shape.group + g, first + t);
      }
    if (silent) std::fill(p.queries.begin() + static_cast<std::ptrdiff_t>(queries), p.queries.end(), 0.0f);
  }
};

}  // namespace support
