#pragma once
// A cache that keeps everything and shows what each query head of the newest token attends to.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/evict/arrivals.hpp>
#include <kvsift/position/concepts.hpp>
#include <reference_model/model/config.hpp>

namespace programs {

class watched_cache {
 public:
  explicit watched_cache(reference_model::config const& c)
      : config_(c), layers_(c.layers), weights_(std::size_t{c.layers} * c.heads) {}

  // Attention of the newest token's query head to every token [tokens seen], summing to 1.
  std::vector<float> const& attention(std::uint32_t layer, std::uint32_t head) const {
    return weights_[std::size_t{layer} * config_.heads + head];
  }

  struct layer_ref {
    watched_cache& all;
    std::uint32_t layer;
  };
  kvsift::keys_are keys_are() const { return kvsift::keys_are::encoded; }
  layer_ref layer(std::uint32_t l) { return {*this, l}; }

  template <class Executor>
  friend void step(Executor const& on, layer_ref at, kvsift::arrivals const& piece, float* out) {
    at.all.append(at.layer, piece);
    on.launch(at.all.config_.heads, [&](auto const&, std::uint32_t h) { at.all.attend(at.layer, h, piece, out); });
  }
  template <class Executor>
  friend void evict(Executor const&, watched_cache&) {}

 private:
  struct tokens_of_layer {
    std::vector<float> keys, values;  // [tokens, Hkv, D]
  };

  void append(std::uint32_t layer, kvsift::arrivals const& p) {
    std::size_t const n = std::size_t{p.tokens} * config_.kv_heads * config_.head_dim;
    layers_[layer].keys.insert(layers_[layer].keys.end(), p.keys, p.keys + n);
    layers_[layer].values.insert(layers_[layer].values.end(), p.values, p.values + n);
  }

  // out [n, Hq, D], of head h.
  void attend(std::uint32_t layer, std::uint32_t h, kvsift::arrivals const& p, float* out) {
    std::size_t const dim = config_.head_dim, row = config_.kv_heads * dim, kv = h / config_.group() * dim;
    std::vector<float> const &keys = layers_[layer].keys, &values = layers_[layer].values;
    std::vector<float>& weights = weights_[std::size_t{layer} * config_.heads + h];
    std::size_t const before = keys.size() / row - p.tokens;
    for (std::size_t t = 0; t < p.tokens; ++t) {
      std::size_t const place = (t * config_.heads + h) * dim, visible = before + t + 1;
      weights.assign(visible, 0.0f);
      float highest = -INFINITY, sum = 0;
      for (std::size_t s = 0; s < visible; ++s) {
        for (std::size_t d = 0; d < dim; ++d) weights[s] += p.queries[place + d] * keys[s * row + kv + d];
        weights[s] /= std::sqrt(static_cast<float>(dim));
        highest = std::fmax(highest, weights[s]);
      }
      for (float& w : weights) sum += w = std::exp(w - highest);
      for (float& w : weights) w /= sum;
      for (std::size_t d = 0; d < dim; ++d) out[place + d] = 0;
      for (std::size_t s = 0; s < visible; ++s)
        for (std::size_t d = 0; d < dim; ++d) out[place + d] += weights[s] * values[s * row + kv + d];
    }
  }

  reference_model::config const& config_;
  std::vector<tokens_of_layer> layers_;
  std::vector<std::vector<float>> weights_;  // [layers, Hq]
};

}  // namespace programs
