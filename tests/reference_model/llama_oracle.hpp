#pragma once
// What a Llama computes, once more, in double and plain loops over all tokens at once: no cache, no code of the model.

#include <cmath>
#include <cstdint>
#include <vector>

#include <reference_model/model/weights.hpp>

namespace oracle {

using row = std::vector<double>;

/// y [rows] = weights [rows, x.size()] x.
inline row multiply(reference_model::floats const& weights, std::size_t rows, row const& x) {
  row y(rows, 0.0);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < x.size(); ++i) y[r] += static_cast<double>(weights.data()[r * x.size() + i]) * x[i];
  return y;
}

inline row normalised(row const& x, reference_model::floats const& scale, double eps) {
  double squares = 0;
  for (double v : x) squares += v * v;
  row y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + eps) * static_cast<double>(scale.data()[i]);
  return y;
}

/// Turns pair i of every head [D] by position x theta^(-2 i / D).
inline void turn(row& heads, std::size_t D, std::size_t position, double theta, bool interleaved) {
  for (std::size_t first = 0; first < heads.size(); first += D)
    for (std::size_t i = 0; i < D / 2; ++i) {
      std::size_t const a = first + (interleaved ? 2 * i : i), b = first + (interleaved ? 2 * i + 1 : i + D / 2);
      double const angle =
          static_cast<double>(position) / std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(D));
      double const x = heads[a], y = heads[b];
      heads[a] = x * std::cos(angle) - y * std::sin(angle);
      heads[b] = y * std::cos(angle) + x * std::sin(angle);
    }
}

/// Logits [tokens][vocab]: token t stands at position t and sees tokens 0 .. t.
inline std::vector<row> logits(reference_model::model const& m, std::vector<std::uint32_t> const& tokens) {
  auto const& c = m.config;
  std::size_t const n = tokens.size(), D = c.head_dim, heads = c.heads, keys = c.kv_heads;
  bool const interleaved = c.rotation.pairs == kvsift::pairing::interleaved;
  std::vector<row> x(n);
  for (std::size_t t = 0; t < n; ++t) {
    float const* const e = m.embedding.data() + std::size_t{tokens[t]} * c.dim;
    x[t].assign(e, e + c.dim);
  }
  for (auto const& w : m.layers) {
    std::vector<row> q(n), k(n), v(n);
    for (std::size_t t = 0; t < n; ++t) {
      row const h = normalised(x[t], w.attention_norm, c.norm_eps);
      q[t] = multiply(w.query, heads * D, h);
      k[t] = multiply(w.key, keys * D, h);
      v[t] = multiply(w.value, keys * D, h);
      turn(q[t], D, t, c.rotation.theta, interleaved);
      turn(k[t], D, t, c.rotation.theta, interleaved);
    }
    for (std::size_t t = 0; t < n; ++t) {
      row mixed(heads * D, 0.0);
      for (std::size_t h = 0; h < heads; ++h) {
        std::size_t const kv = h * keys / heads;
        double sum = 0;
        row weight(t + 1, 0.0);
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t d = 0; d < D; ++d) weight[s] += q[t][h * D + d] * k[s][kv * D + d];
          sum += weight[s] = std::exp(weight[s] / std::sqrt(static_cast<double>(D)));
        }
        for (std::size_t s = 0; s <= t; ++s)
          for (std::size_t d = 0; d < D; ++d) mixed[h * D + d] += weight[s] / sum * v[s][kv * D + d];
      }
      row const back = multiply(w.output, c.dim, mixed);
      for (std::size_t i = 0; i < c.dim; ++i) x[t][i] += back[i];
      row const h = normalised(x[t], w.feed_norm, c.norm_eps);
      row gate = multiply(w.gate, c.hidden, h);
      row const up = multiply(w.up, c.hidden, h);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      row const fed = multiply(w.down, c.dim, gate);
      for (std::size_t i = 0; i < c.dim; ++i) x[t][i] += fed[i];
    }
  }
  for (row& r : x) r = multiply(c.tied ? m.embedding : m.unembedding, c.vocab, normalised(r, m.final_norm, c.norm_eps));
  return x;
}

}  // namespace oracle
