#pragma once
// A KV cache that keeps everything, in the plainest double loops: the oracle of the transformer's attention.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/evict/staging.hpp>
#include <kvsift/position/concepts.hpp>
#include <reference_model/model/blocks.hpp>
#include <reference_model/model/config.hpp>

namespace plain {

/// What one layer keeps: keys and values [tokens, Hkv, D].
struct layer {
  reference_model::config const* config = nullptr;
  kvsift::keys_are form = kvsift::keys_are::encoded;
  std::vector<float> keys;
  std::vector<float> values;
};

/// With unrotated keys every key, and the query, is rotated on reading by its rank; as nothing leaves, that is its
/// position.
class cache {
 public:
  explicit cache(reference_model::config const& c, kvsift::keys_are form = kvsift::keys_are::encoded)
      : layers_(c.layers, plain::layer{&c, form, {}, {}}), form_(form) {}

  kvsift::keys_are keys_are() const { return form_; }
  plain::layer& layer(std::uint32_t l) { return layers_[l]; }
  std::uint32_t evictions = 0;  ///< calls of evict

 private:
  std::vector<plain::layer> layers_;
  kvsift::keys_are form_;
};

/// Appends the piece, then out [n, Hq, D] = causal attention of its queries over everything kept.
template <class Executor>
void step(Executor const&, layer& kept, kvsift::arrivals const& p, float* out) {
  reference_model::config const& c = *kept.config;
  std::size_t const D = c.head_dim, row = c.kv_heads * D;
  std::size_t const before = kept.keys.size() / row;
  kept.keys.insert(kept.keys.end(), p.keys, p.keys + p.tokens * row);
  kept.values.insert(kept.values.end(), p.values, p.values + p.tokens * row);

  auto const turned = [&](float const* x, std::size_t rank) {
    std::vector<float> y(x, x + D), cosines(D / 2), sines(D / 2);
    if (kept.form == kvsift::keys_are::unrotated) {
      std::uint32_t const turning = c.rotation.turning(c.head_dim);
      std::vector<double> frequencies(turning / 2);
      kvsift::frequencies(c.rotation, c.head_dim, static_cast<std::uint32_t>(rank + 1), frequencies.data());
      reference_model::rope_angles(kvsift::serial_group{}, static_cast<std::uint32_t>(rank), frequencies.data(), turning / 2, c.rotation.amplitude, cosines.data(),
                                   sines.data());
      reference_model::rotate(kvsift::serial_group{}, y.data(), 1, c.head_dim, turning, c.rotation.pairs, cosines.data(), sines.data());
    }
    return y;
  };
  for (std::size_t t = 0; t < p.tokens; ++t) {
    for (std::size_t h = 0; h < c.heads; ++h) {
      std::size_t const visible = before + t + 1, kv = h / c.group();
      std::vector<float> const q = turned(p.queries + (t * c.heads + h) * D, visible - 1);
      std::vector<double> weight(visible);
      double highest = -INFINITY, sum = 0;
      for (std::size_t s = 0; s < visible; ++s) {
        std::vector<float> const k = turned(kept.keys.data() + s * row + kv * D, s);
        for (std::size_t d = 0; d < D; ++d) weight[s] += static_cast<double>(q[d]) * static_cast<double>(k[d]);
        weight[s] /= std::sqrt(static_cast<double>(D));
        if (!c.bias.none())
          weight[s] -= static_cast<double>(c.bias.slope(static_cast<std::uint32_t>(h), c.heads)) * static_cast<double>(visible - 1 - s);
        highest = std::fmax(highest, weight[s]);
      }
      for (double& w : weight) sum += w = std::exp(w - highest);
      for (std::size_t d = 0; d < D; ++d) {
        double mixed = 0;
        for (std::size_t s = 0; s < visible; ++s)
          mixed += weight[s] / sum * static_cast<double>(kept.values[s * row + kv * D + d]);
        out[(t * c.heads + h) * D + d] = static_cast<float>(mixed);
      }
    }
  }
}

template <class Executor>
void evict(Executor const&, cache& all) {
  ++all.evictions;
}

}  // namespace plain
