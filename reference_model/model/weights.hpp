#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <reference_model/model/config.hpp>
#include <reference_model/model/floats.hpp>

namespace reference_model {

/// Weights of one layer. A matrix [out, in] maps x [in] to out; rows are contiguous.
struct layer_weights {
  floats attention_norm;  // [dim]
  floats query;           // [Hq D, dim]
  floats key;             // [Hkv D, dim]
  floats value;           // [Hkv D, dim]
  floats output;          // [dim, Hq D]
  floats feed_norm;       // [dim]
  floats gate;            // [hidden, dim]
  floats up;              // [hidden, dim]
  floats down;            // [dim, hidden]
};

/// A loaded model.
struct model {
  reference_model::config config;
  floats embedding;  // [vocab, dim]
  std::vector<layer_weights> layers;
  floats final_norm;   // [dim]
  floats unembedding;  // [vocab, dim], empty if tied

  float const* output_weights() const { return config.tied ? embedding.data() : unembedding.data(); }
};

}  // namespace reference_model
