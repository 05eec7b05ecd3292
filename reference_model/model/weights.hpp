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
template <class Array>
struct basic_layer_weights {
  Array attention_norm;       // [dim]
  Array attention_norm_bias;  // [dim]
  Array query;                // [Hq D, dim]
  Array query_bias;           // [Hq D]
  Array key;                  // [Hkv D, dim]
  Array key_bias;             // [Hkv D]
  Array value;                // [Hkv D, dim]
  Array value_bias;           // [Hkv D]
  Array query_norm;           // [D], of every query head
  Array key_norm;             // [D], of every KV head
  Array output;               // [dim, Hq D]
  Array output_bias;          // [dim]
  Array feed_norm;            // [dim]
  Array feed_norm_bias;       // [dim]
  Array gate;                 // [hidden, dim]
  Array gate_bias;            // [hidden]
  Array up;                   // [hidden, dim]
  Array up_bias;              // [hidden]
  Array down;                 // [dim, hidden]
  Array down_bias;            // [dim]

  /// All of them, in the order of their use.
  static constexpr std::array<Array basic_layer_weights::*, 20> all() {
    using w = basic_layer_weights;
    return {&w::attention_norm, &w::attention_norm_bias, &w::query, &w::query_bias, &w::key, &w::key_bias, &w::value,
            &w::value_bias, &w::query_norm, &w::key_norm, &w::output, &w::output_bias, &w::feed_norm,
            &w::feed_norm_bias, &w::gate, &w::gate_bias, &w::up, &w::up_bias, &w::down, &w::down_bias};
  }
  /// Whether weight i of them is a matrix.
  static constexpr bool is_matrix(std::size_t i) {
    using w = basic_layer_weights;
    for (auto const matrix : {&w::query, &w::key, &w::value, &w::output, &w::gate, &w::up, &w::down})
      if (all()[i] == matrix) return true;
    return false;
  }
};

using layer_weights = basic_layer_weights<floats>;

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
