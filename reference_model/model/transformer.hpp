#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/position/concepts.hpp>
#include <reference_model/model/blocks.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/floats.hpp>
#include <reference_model/model/linear.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// Of which tokens of a piece the logits are computed.
enum class logits_of { last_token, every_token };

/// A decoder of the Llama, GPT-2 and MPT families, in the order of its execution. n: tokens of a piece, Hq / Hkv: query and KV heads,
/// D: head_dim. All memory is taken by the constructor: forward allocates nothing.
class transformer {
 public:
  /// `m` must outlive this. `most_tokens` is the longest piece that forward will be given.
  explicit transformer(model const& m, std::uint32_t most_tokens = 1, logits_of which = logits_of::last_token)
      : model_(m), which_(which), most_(most_tokens) {
    kvsift::require(most_tokens > 0, "most_tokens", most_tokens, "a piece has at least one token");
    reference_model::config const& c = m.config;
    std::size_t const n = most_tokens;
    x_ = floats(n * c.dim);
    normed_ = floats(n * c.dim);
    delta_ = floats(n * c.dim);
    q_ = floats(n * c.heads * c.head_dim);
    k_ = floats(n * c.kv_heads * c.head_dim);
    v_ = floats(n * c.kv_heads * c.head_dim);
    attended_ = floats(n * c.heads * c.head_dim);
    gate_ = floats(c.between == activation::gated_silu ? n * c.hidden : 0);
    up_ = floats(n * c.hidden);
    turning_ = c.rotation.turning(c.head_dim);
    frequencies_.resize(turning_ / 2);
    kvsift::check(c.rotation, c.head_dim);
    kvsift::frequencies(c.rotation, c.head_dim, 0, frequencies_.data());
    cosines_ = floats(n * turning_ / 2);
    sines_ = floats(n * turning_ / 2);
    logits_ = floats((which == logits_of::every_token ? n : 1) * c.vocab);
  }

  reference_model::config const& config() const { return model_.config; }
  std::uint32_t most_tokens() const { return most_; }

  /// Runs a piece of n tokens [n] at positions [n] (one token: decode; several: prefill) and appends its keys and values
  /// to the cache. Returns logits [1, vocab] or [n, vocab], valid until the next call. Logits belong to the cache before
  /// the eviction that ends this call. Positions beyond config().max_positions are computed, unless they are learned: then there are no more.
  ///
  /// The cache is a kvsift::kv_tensor, or a type of the user's with keys_are(), layer(l), step and evict of its own, found
  /// by its namespace. Per layer one step appends and attends; after the last layer one evict.
  template <class Executor, class Cache>
  float const* forward(Executor const& on, Cache& cache, std::uint32_t const* tokens, std::uint32_t const* positions,
                       std::uint32_t n) {
    reference_model::config const& c = model_.config;
    kvsift::require(n > 0 && n <= most_, "tokens of the piece", n, "give 1 to most_tokens of the constructor");
    for (std::uint32_t t = 0; t < n; ++t) {
      kvsift::require(tokens[t] < c.vocab, "token", tokens[t], "it must be within the model's vocabulary");
      if (!model_.position_embedding.empty()) require_learned(positions[t]);
    }
    std::uint32_t const queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim, pairs = turning_ / 2;
    bool const rotated = pairs != 0 && cache.keys_are() == kvsift::keys_are::encoded;
    if (rotated && c.rotation.scaling == kvsift::rotary_scaling::dynamic_ntk)
      kvsift::frequencies(c.rotation, c.head_dim, positions[n - 1] + 1, frequencies_.data());

    float* const x = x_.data();                // [n, dim], the residual stream
    float* const normed = normed_.data();      // [n, dim]
    float* const delta = delta_.data();        // [n, dim], what a block adds to x
    float* const q = q_.data();                // [n, Hq, D]
    float* const k = k_.data();                // [n, Hkv, D]
    float* const v = v_.data();                // [n, Hkv, D]
    float* const attended = attended_.data();  // [n, Hq, D]
    float* const gate = gate_.data();          // [n, hidden]
    float* const up = up_.data();              // [n, hidden]

    on.launch(n, [&](auto const&, std::uint32_t t) {
      float const* const row = model_.embedding.data() + std::size_t{tokens[t]} * c.dim;
      std::copy(row, row + c.dim, x + std::size_t{t} * c.dim);
      if (!model_.position_embedding.empty())
        add(x + std::size_t{t} * c.dim, model_.position_embedding.data() + std::size_t{positions[t]} * c.dim, c.dim);
      if (rotated)
        rope_angles(positions[t], frequencies_.data(), pairs, c.rotation.amplitude, cosines_.data() + std::size_t{t} * pairs,
                    sines_.data() + std::size_t{t} * pairs);
    });

    for (std::uint32_t l = 0; l < c.layers; ++l) {
      layer_weights const& w = model_.layers[l];

      // attention
      norm(on, x, w.attention_norm, w.attention_norm_bias, n, normed);
      linear(on, normed, n, c.dim,
             std::array{product{w.query.data(), queries, q}, product{w.key.data(), keys, k},
                        product{w.value.data(), keys, v}});
      add_bias(on, q, w.query_bias, n);
      add_bias(on, k, w.key_bias, n);
      add_bias(on, v, w.value_bias, n);
      if (!w.query_norm.empty()) {
        on.launch(n, [&](auto const&, std::uint32_t t) {
          norm_heads(q + std::size_t{t} * queries, c.heads, w.query_norm);
          norm_heads(k + std::size_t{t} * keys, c.kv_heads, w.key_norm);
        });
      }
      if (rotated) {
        on.launch(n, [&](auto const&, std::uint32_t t) {
          float const* const cosines = cosines_.data() + std::size_t{t} * pairs;  // [pairs]
          float const* const sines = sines_.data() + std::size_t{t} * pairs;      // [pairs]
          rotate(q + std::size_t{t} * queries, c.heads, c.head_dim, turning_, c.rotation.pairs, cosines, sines);
          rotate(k + std::size_t{t} * keys, c.kv_heads, c.head_dim, turning_, c.rotation.pairs, cosines, sines);
        });
      }
      step(on, cache.layer(l), kvsift::arrivals{q, k, v, n}, attended);
      linear(on, attended, n, queries, std::array{product{w.output.data(), c.dim, delta}});
      add_bias(on, delta, w.output_bias, n);
      add(x, delta, std::size_t{n} * c.dim);

      // feed-forward
      norm(on, x, w.feed_norm, w.feed_norm_bias, n, normed);
      if (c.between == activation::gated_silu) {
        linear(on, normed, n, c.dim,
               std::array{product{w.gate.data(), c.hidden, gate}, product{w.up.data(), c.hidden, up}});
        add_bias(on, gate, w.gate_bias, n);
        add_bias(on, up, w.up_bias, n);
        on.launch(n, [&](auto const&, std::uint32_t t) {
          swiglu(gate + std::size_t{t} * c.hidden, up + std::size_t{t} * c.hidden, c.hidden);
        });
      } else {
        linear(on, normed, n, c.dim, std::array{product{w.up.data(), c.hidden, up}});
        add_bias(on, up, w.up_bias, n);
        on.launch(n, [&](auto const&, std::uint32_t t) {
          float* const row = up + std::size_t{t} * c.hidden;
          c.between == activation::gelu ? gelu(row, c.hidden) : exact_gelu(row, c.hidden);
        });
      }
      linear(on, up, n, c.hidden, std::array{product{w.down.data(), c.dim, delta}});
      add_bias(on, delta, w.down_bias, n);
      add(x, delta, std::size_t{n} * c.dim);
    }
    evict(on, cache);

    std::uint32_t const last = which_ == logits_of::last_token ? 1 : n;  // tokens whose logits are wanted
    norm(on, x + std::size_t{n - last} * c.dim, model_.final_norm, model_.final_norm_bias, last, normed);
    linear(on, normed, last, c.dim, std::array{product{model_.output_weights(), c.vocab, logits_.data()}});
    return logits_.data();
  }

 private:
  /// out [n, dim] = each row of in [n, dim], normalised.
  template <class Executor>
  void norm(Executor const& on, float const* in, floats const& scale, floats const& bias, std::uint32_t n,
            float* out) const {
    reference_model::config const& c = model_.config;
    on.launch(n, [&](auto const&, std::uint32_t t) {
      float const* const from = in + std::size_t{t} * c.dim;
      float* const to = out + std::size_t{t} * c.dim;
      if (c.norm == normalisation::root_mean_square)
        rms_norm(from, scale.data(), c.dim, c.norm_eps, to);
      else
        layer_norm(from, scale.data(), bias.empty() ? nullptr : bias.data(), c.dim, c.norm_eps, to);
    });
  }

  /// heads [count, D] in place.
  void norm_heads(float* heads, std::uint32_t count, floats const& scale) const {
    std::uint32_t const D = model_.config.head_dim;
    for (std::uint32_t h = 0; h < count; ++h) {
      float* const head = heads + std::size_t{h} * D;
      rms_norm(head, scale.data(), D, model_.config.norm_eps, head);
    }
  }

  /// Adds bias [size] to each row of x [n, size]; an empty one is none.
  template <class Executor>
  void add_bias(Executor const& on, float* x, floats const& bias, std::uint32_t n) const {
    if (bias.empty()) return;
    on.launch(n, [&](auto const&, std::uint32_t t) { add(x + t * bias.size(), bias.data(), bias.size()); });
  }

  void require_learned(std::uint32_t position) const {
    std::uint32_t const most = model_.config.max_positions;
    if (position >= most)
      kvsift::require(false, "position", position,
                      ("this model has learned positions 0 to " + std::to_string(most - 1) +
                       " and no others; shorten the text or give positions within the cache")
                          .c_str());
  }

  model const& model_;
  logits_of which_;
  std::uint32_t most_;
  floats x_, normed_, delta_;        // [most, dim]
  floats q_, attended_;              // [most, Hq, D]
  floats k_, v_;                     // [most, Hkv, D]
  floats gate_, up_;                 // [most, hidden], the gate empty if there is none
  floats cosines_, sines_;           // [most, turning/2]
  std::vector<double> frequencies_;  // [turning/2]
  std::uint32_t turning_ = 0;        // components of D that the rotation turns
  floats logits_;                    // [1 or most, vocab]
};

}  // namespace reference_model
