#pragma once

#include <cstdint>

#include <kvsift/kvsift.hpp>
#include <reference_model/model/transformer.hpp>

/// Runs a model that was loaded: whatever its shape, no access may leave its weights. A cache's limits are lower than a
/// file's; models beyond them are left alone.
inline void decode_two_tokens(reference_model::model const& m) {
  reference_model::config const& c = m.config;
  if (c.head_dim > 1024 || c.group() > 256) return;
  if (c.learned_positions && c.max_positions < 2) return;
  kvsift::cache_options options;
  options.capacity = options.max_piece = 2;
  auto const policy = kvsift::full();
  kvsift::kv_tensor<decltype(policy)> cache({c.layers, c.kv_heads, c.group(), c.head_dim, 1}, policy, options);
  reference_model::transformer decoder(m, 2);
  std::uint32_t const tokens[2] = {c.bos, c.vocab - 1}, positions[2] = {0, 1};
  decoder.forward(kvsift::serial_executor{}, cache, tokens, positions, 2);
}
