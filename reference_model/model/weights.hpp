#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <reference_model/model/config.hpp>
#include <reference_model/model/floats.hpp>

namespace reference_model {

/// Weights of one layer. A matrix [out, in] maps x [in] to out; rows are contiguous. What a model has not is empty: biases,
/// norms of heads, the gate.
struct layer_weights {
  floats attention_norm;       // [dim]
  floats attention_norm_bias;  // [dim]
  floats query;                // [Hq D, dim]
  floats query_bias;           // [Hq D]
  floats key;                  // [Hkv D, dim]
  floats key_bias;             // [Hkv D]
  floats value;                // [Hkv D, dim]
  floats value_bias;           // [Hkv D]
  floats query_norm;           // [D], of every query head
  floats key_norm;             // [D], of every KV head
  floats output;               // [dim, Hq D]
  floats output_bias;          // [dim]
  floats feed_norm;            // [dim]
  floats feed_norm_bias;       // [dim]
  floats gate;                 // [hidden, dim]
  floats gate_bias;            // [hidden]
  floats up;                   // [hidden, dim]
  floats up_bias;              // [hidden]
  floats down;                 // [dim, hidden]
  floats down_bias;            // [dim]

  /// All of them, in the order of their use.
  static constexpr std::array<floats layer_weights::*, 20> all() {
    using w = layer_weights;
    return {&w::attention_norm, &w::attention_norm_bias, &w::query, &w::query_bias, &w::key, &w::key_bias, &w::value,
            &w::value_bias, &w::query_norm, &w::key_norm, &w::output, &w::output_bias, &w::feed_norm,
            &w::feed_norm_bias, &w::gate, &w::gate_bias, &w::up, &w::up_bias, &w::down, &w::down_bias};
  }
};

/// A loaded model.
struct model {
  reference_model::config config;
  floats embedding;           // [vocab, dim]
  floats position_embedding;  // [max_positions, dim], empty unless positions are learned
  std::vector<layer_weights> layers;
  floats final_norm;       // [dim]
  floats final_norm_bias;  // [dim], empty if the norm has none
  floats unembedding;      // [vocab, dim], empty if tied

  float const* output_weights() const { return config.tied ? embedding.data() : unembedding.data(); }
};

}  // namespace reference_model
