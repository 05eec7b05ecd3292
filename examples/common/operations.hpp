#pragma once
// What a token costs in arithmetic: additions and multiplications of its matrix products, counted, not measured.
#include <algorithm>
#include <cstdint>

#include <common/session.hpp>
#include <reference_model/model/config.hpp>

namespace programs {

// Of one token through every layer's matrices.
inline double layer_operations(reference_model::config const& c) {
  double const dim = c.dim, queries = static_cast<double>(c.heads) * c.head_dim, keys = static_cast<double>(c.kv_heads) * c.head_dim;
  double const feed = (c.between == reference_model::activation::gated_silu ? 3 : 2) * dim * c.hidden;
  return 2 * c.layers * (2 * dim * queries + 2 * dim * keys + feed);
}

// Of one token's attention to `slots` slots a head: products with keys and with values.
inline double attention_operations(reference_model::config const& c, double slots) { return 4.0 * c.layers * c.heads * c.head_dim * slots; }

// Of KV-Align's networks on one slot of every head that is behind the sinks.
inline double realigning_operations(reference_model::config const& c, kvsift::learned_align const& rule, double slots) {
  double once = 0;
  for (kvsift::align_view const* net : {&rule.key_network, &rule.value_network})
    once += 2.0 * (static_cast<double>(c.head_dim) * net->wide + static_cast<double>(net->wide) * net->narrow + static_cast<double>(net->narrow) * c.head_dim);
  return c.layers * c.kv_heads * std::max(0.0, slots - rule.sinks) * once;
}

// Of token number `token` (1: the first of a text), which sees at most `most` slots, itself among them; where it would see more, one goes.
// Without what a policy computes to decide, which is a few operations a slot.
inline double token_operations(reference_model::config const& c, standing stand, kvsift::learned_align const* align, std::uint64_t token, std::uint64_t most) {
  auto const seen = static_cast<double>(std::min(token, most));
  double const unembedding = 2.0 * c.dim * c.vocab;
  if (stand == standing::recompute)  // all of the window, each token of it seeing those before
    return unembedding + seen * layer_operations(c) + attention_operations(c, seen * (seen + 1) / 2);
  double const own = unembedding + layer_operations(c) + attention_operations(c, seen);
  return align != nullptr && token >= most ? own + realigning_operations(c, *align, seen - 1) : own;
}

}  // namespace programs
