#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// A piece of tokens that arrives for one layer, of the sequences that a verb is given: all of a cache, or those of cache.sequences(..).
///   queries [sequences, tokens, kv_heads x group, head_dim], keys and values [sequences, tokens, kv_heads, head_dim]
struct arrivals {
  float const* queries = nullptr;
  float const* keys = nullptr;
  float const* values = nullptr;
  std::uint32_t tokens = 0;
  bool of_prompt = false;   ///< one token is a piece of a prompt, not a step of decode: tells for policies that take pieces
  std::uint32_t pitch = 0;  ///< tokens from one sequence to the next, of the output as well; 0: `tokens`
  std::uint8_t const* kinds = nullptr;  ///< [sequences, tokens], sums of token_kind; null: all are ordinary

  std::uint32_t first_sequence = 0;  ///< of the cache's, that the arrays begin with; the verbs set it

  /// Where a sequence begins, in tokens.
  KVSIFT_HOST_DEVICE std::size_t first(std::uint32_t sequence) const {
    return std::size_t{sequence - first_sequence} * (pitch == 0 ? tokens : pitch);
  }

  /// Token t as one row of the layer is given it. position: of the token.
  KVSIFT_HOST_DEVICE arrival at(cache_shape const& shape, std::uint32_t sequence, std::uint32_t head, std::uint32_t t,
                                std::uint32_t position) const {
    if (keys == nullptr) return {nullptr, nullptr, shape.head_dim};
    std::size_t const token = first(sequence) + t;
    std::size_t const row = (token * shape.kv_heads + head) * shape.head_dim;
    float const* const own = queries == nullptr ? nullptr : queries + row * shape.group;
    return {keys + row, values + row, shape.head_dim, position, own, shape.group, kinds == nullptr ? 0u : kinds[token]};
  }
};

}  // namespace kvsift
