#pragma once

#include <cstring>
#include <string>

#include <reference_model/model/weights.hpp>

/// Where two models differ in a bit, in words; "" if nowhere. Names of fields are llama2.c's.
inline std::string difference(reference_model::model const& a, reference_model::model const& b) {
  auto const same = [](reference_model::floats const& x, reference_model::floats const& y) {
    return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
  };
  auto const& c = a.config;
  auto const& d = b.config;
  if (c.layers != d.layers || a.layers.size() != b.layers.size()) return "layers";
  if (c.dim != d.dim) return "dim";
  if (c.heads != d.heads || c.kv_heads != d.kv_heads || c.head_dim != d.head_dim) return "heads";
  if (c.hidden != d.hidden || c.vocab != d.vocab || c.max_positions != d.max_positions)
    return "hidden, vocab, positions";
  if (c.rotation != d.rotation || c.tied != d.tied || c.bos != d.bos || c.ends != d.ends) return "rotation, tied, tokens";
  if (c.norm != d.norm || c.norm_eps != d.norm_eps || c.head_norms != d.head_norms) return "norms";
  if (c.learned_positions != d.learned_positions || c.between != d.between) return "learned positions, activation";
  if (c.input_bias != d.input_bias || c.output_bias != d.output_bias || c.feed_bias != d.feed_bias) return "biases";
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    std::size_t number = 0;
    for (auto const kind : reference_model::layer_weights::all()) {
      if (!same(a.layers[l].*kind, b.layers[l].*kind))
        return "weights " + std::to_string(number) + " of layer " + std::to_string(l);
      ++number;
    }
  }
  if (!same(a.embedding, b.embedding)) return "embedding";
  if (!same(a.position_embedding, b.position_embedding)) return "position embedding";
  if (!same(a.final_norm, b.final_norm) || !same(a.final_norm_bias, b.final_norm_bias)) return "final norm";
  return same(a.unembedding, b.unembedding) ? "" : "unembedding";
}
