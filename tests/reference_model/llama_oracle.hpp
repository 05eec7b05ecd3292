#pragma once
// What Llama, Mistral, Qwen2 and Qwen3 compute, once more, in double and plain loops over all tokens at once: no cache, no code of the model.

#include <algorithm>
#include <cmath>
#include <cstddef>
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

/// y plus a bias, an empty one being none.
inline row shifted(row y, reference_model::floats const& bias) {
  for (std::size_t i = 0; i < bias.size(); ++i) y.at(i) += static_cast<double>(bias.data()[i]);
  return y;
}

/// Every head [D] normalised by itself; an empty scale is no norm.
inline row normalised_heads(row heads, std::size_t D, reference_model::floats const& scale, double eps) {
  for (std::size_t first = 0; first < heads.size() && !scale.empty(); first += D) {
    row const head = normalised(row(&heads[first], &heads[first] + D), scale, eps);
    for (std::size_t i = 0; i < D; ++i) heads[first + i] = head[i];
  }
  return heads;
}

/// The angle that pair i of `turning` / 2 pairs turns by from one position to the next, for a text of `length` tokens.
inline double frequency(kvsift::rotary_encoding const& e, std::size_t turning, std::size_t i, std::size_t length) {
  double const R = static_cast<double>(turning), pair = static_cast<double>(i), round = 2 * std::acos(-1.0);
  double const own = std::pow(e.theta, -2 * pair / R), trained = e.trained, turns = trained * own / round;
  switch (e.scaling) {
    case kvsift::rotary_scaling::none: return own;
    case kvsift::rotary_scaling::linear: return own / e.factor;
    case kvsift::rotary_scaling::dynamic_ntk: {
      double const stretch = e.factor * static_cast<double>(length) / trained - (e.factor - 1);
      return static_cast<double>(length) <= trained ? own
                                                    : std::pow(e.theta * std::pow(stretch, R / (R - 2)), -2 * pair / R);
    }
    case kvsift::rotary_scaling::llama3: {
      if (turns <= e.slow) return own / e.factor;
      if (turns >= e.fast) return own;
      double const smooth = (turns - e.slow) / (e.fast - e.slow);
      return (1 - smooth) * own / e.factor + smooth * own;
    }
    case kvsift::rotary_scaling::yarn: {
      auto const at = [&](double t) { return R * std::log(trained / (t * round)) / (2 * std::log(e.theta)); };
      double const low = std::max(0.0, std::floor(at(e.fast))), high = std::min(R - 1, std::ceil(at(e.slow)));
      double const ramp = pair <= low ? 0 : pair >= high ? 1 : (pair - low) / (high - low);
      return own / e.factor * ramp + own * (1 - ramp);
    }
  }
  return 0;
}

/// Turns the pairs of every head [D] to a position; components beyond rotary_dim stay.
inline void turn(row& heads, std::size_t D, std::size_t position, kvsift::rotary_encoding const& e, std::size_t length) {
  std::size_t const turning = e.rotary_dim == 0 ? D : e.rotary_dim;
  bool const interleaved = e.pairs == kvsift::pairing::interleaved;
  for (std::size_t first = 0; first < heads.size(); first += D)
    for (std::size_t i = 0; i < turning / 2; ++i) {
      std::size_t const a = first + (interleaved ? 2 * i : i), b = first + (interleaved ? 2 * i + 1 : i + turning / 2);
      double const angle = static_cast<double>(position) * frequency(e, turning, i, length);
      double const x = heads[a], y = heads[b];
      heads[a] = e.amplitude * (x * std::cos(angle) - y * std::sin(angle));
      heads[b] = e.amplitude * (y * std::cos(angle) + x * std::sin(angle));
    }
}

/// Logits [tokens][vocab]: token t stands at position t and sees tokens 0 .. t.
inline std::vector<row> logits(reference_model::model const& m, std::vector<std::uint32_t> const& tokens) {
  auto const& c = m.config;
  std::size_t const n = tokens.size(), D = c.head_dim, heads = c.heads, keys = c.kv_heads;
  std::vector<row> x(n);
  for (std::size_t t = 0; t < n; ++t) {
    float const* const e = m.embedding.data() + std::size_t{tokens[t]} * c.dim;
    x[t].assign(e, e + c.dim);
  }
  for (auto const& w : m.layers) {
    std::vector<row> q(n), k(n), v(n);
    for (std::size_t t = 0; t < n; ++t) {
      row const h = normalised(x[t], w.attention_norm, c.norm_eps);
      q[t] = normalised_heads(shifted(multiply(w.query, heads * D, h), w.query_bias), D, w.query_norm, c.norm_eps);
      k[t] = normalised_heads(shifted(multiply(w.key, keys * D, h), w.key_bias), D, w.key_norm, c.norm_eps);
      v[t] = shifted(multiply(w.value, keys * D, h), w.value_bias);
      turn(q[t], D, t, c.rotation, n);
      turn(k[t], D, t, c.rotation, n);
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
      row const back = shifted(multiply(w.output, c.dim, mixed), w.output_bias);
      for (std::size_t i = 0; i < c.dim; ++i) x[t][i] += back[i];
      row const h = normalised(x[t], w.feed_norm, c.norm_eps);
      row gate = shifted(multiply(w.gate, c.hidden, h), w.gate_bias);
      row const up = shifted(multiply(w.up, c.hidden, h), w.up_bias);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      row const fed = shifted(multiply(w.down, c.dim, gate), w.down_bias);
      for (std::size_t i = 0; i < c.dim; ++i) x[t][i] += fed[i];
    }
  }
  for (row& r : x) r = multiply(c.tied ? m.embedding : m.unembedding, c.vocab, normalised(r, m.final_norm, c.norm_eps));
  return x;
}

}  // namespace oracle
