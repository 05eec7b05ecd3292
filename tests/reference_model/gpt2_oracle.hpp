#pragma once
// What a GPT-2 computes, once more, in double and plain loops over all tokens at once: no cache, no code of the model.

#include <cmath>
#include <cstdint>
#include <vector>

#include <reference_model/model/weights.hpp>

#include "llama_oracle.hpp"

namespace oracle {

inline row centred(row const& x, reference_model::floats const& scale, reference_model::floats const& bias,
                   double eps) {
  double mean = 0, variance = 0;
  for (double v : x) mean += v / static_cast<double>(x.size());
  for (double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
  row y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i] = (x[i] - mean) / std::sqrt(variance + eps) * static_cast<double>(scale.data()[i]) +
           static_cast<double>(bias.data()[i]);
  return y;
}

/// Logits [tokens][vocab]: token t stands at position t and sees tokens 0 .. t.
inline std::vector<row> gpt2_logits(reference_model::model const& m, std::vector<std::uint32_t> const& tokens) {
  auto const& c = m.config;
  std::size_t const n = tokens.size(), D = c.head_dim, dim = c.dim;
  std::vector<row> x(n, row(dim));
  for (std::size_t t = 0; t < n; ++t)
    for (std::size_t i = 0; i < dim; ++i)
      x[t][i] = static_cast<double>(m.embedding.data()[tokens[t] * dim + i]) +
                static_cast<double>(m.position_embedding.data()[t * dim + i]);
  for (auto const& w : m.layers) {
    std::vector<row> q(n), k(n), v(n);
    for (std::size_t t = 0; t < n; ++t) {
      row const h = centred(x[t], w.attention_norm, w.attention_norm_bias, c.norm_eps);
      q[t] = shifted(multiply(w.query, dim, h), w.query_bias);
      k[t] = shifted(multiply(w.key, dim, h), w.key_bias);
      v[t] = shifted(multiply(w.value, dim, h), w.value_bias);
    }
    for (std::size_t t = 0; t < n; ++t) {
      row mixed(dim, 0.0);
      for (std::size_t first = 0; first < dim; first += D) {
        double sum = 0;
        row weight(t + 1, 0.0);
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t d = first; d < first + D; ++d) weight[s] += q[t][d] * k[s][d];
          sum += weight[s] = std::exp(weight[s] / std::sqrt(static_cast<double>(D)));
        }
        for (std::size_t s = 0; s <= t; ++s)
          for (std::size_t d = first; d < first + D; ++d) mixed[d] += weight[s] / sum * v[s][d];
      }
      row const back = shifted(multiply(w.output, dim, mixed), w.output_bias);
      for (std::size_t i = 0; i < dim; ++i) x[t][i] += back[i];
      row h = shifted(multiply(w.up, c.hidden, centred(x[t], w.feed_norm, w.feed_norm_bias, c.norm_eps)), w.up_bias);
      for (double& g : h) g = g / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g)));
      row const fed = shifted(multiply(w.down, dim, h), w.down_bias);
      for (std::size_t i = 0; i < dim; ++i) x[t][i] += fed[i];
    }
  }
  for (row& r : x)
    r = multiply(c.tied ? m.embedding : m.unembedding, c.vocab,
                 centred(r, m.final_norm, m.final_norm_bias, c.norm_eps));
  return x;
}

}  // namespace oracle
