#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

/// A decoder of the Llama family, in the order of its execution. n: tokens of a piece, Hq / Hkv: query and KV heads,
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
    gate_ = floats(n * c.hidden);
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
  /// the eviction that ends this call. Positions beyond config().max_positions are computed, not refused.
  ///
  /// The cache is a kvsift::kv_tensor, or a type of the user's with keys_are(), layer(l), step and evict of its own, found
  /// by its namespace. Per layer one step appends and attends; after the last layer one evict.
  template <class Executor, class Cache>
  float const* forward(Executor const& on, Cache& cache, std::uint32_t const* tokens, std::uint32_t const* positions,
                       std::uint32_t n) {
    reference_model::config const& c = model_.config;
    kvsift::require(n > 0 && n <= most_, "tokens of the piece", n, "give 1 to most_tokens of the constructor");
    for (std::uint32_t t = 0; t < n; ++t)
      kvsift::require(tokens[t] < c.vocab, "token", tokens[t], "it must be within the model's vocabulary");
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
      if (rotated)
        rope_angles(positions[t], frequencies_.data(), pairs, c.rotation.amplitude, cosines_.data() + std::size_t{t} * pairs,
                    sines_.data() + std::size_t{t} * pairs);
    });

    for (std::uint32_t l = 0; l < c.layers; ++l) {
      layer_weights const& w = model_.layers[l];

      // attention
      norm(on, x, w.attention_norm, n, normed);
      linear(on, normed, n, c.dim,
             std::array{product{w.query.data(), queries, q}, product{w.key.data(), keys, k},
                        product{w.value.data(), keys, v}});
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
      add(x, delta, std::size_t{n} * c.dim);

      // feed-forward
      norm(on, x, w.feed_norm, n, normed);
      linear(on, normed, n, c.dim,
             std::array{product{w.gate.data(), c.hidden, gate}, product{w.up.data(), c.hidden, up}});
      on.launch(n, [&](auto const&, std::uint32_t t) {
        swiglu(gate + std::size_t{t} * c.hidden, up + std::size_t{t} * c.hidden, c.hidden);
      });
      linear(on, gate, n, c.hidden, std::array{product{w.down.data(), c.dim, delta}});
      add(x, delta, std::size_t{n} * c.dim);
    }
    evict(on, cache);

    std::uint32_t const last = which_ == logits_of::last_token ? 1 : n;  // tokens whose logits are wanted
    norm(on, x + std::size_t{n - last} * c.dim, model_.final_norm, last, normed);
    linear(on, normed, last, c.dim, std::array{product{model_.output_weights(), c.vocab, logits_.data()}});
    return logits_.data();
  }

 private:
  /// out [n, dim] = rms_norm of each row of in [n, dim].
  template <class Executor>
  void norm(Executor const& on, float const* in, floats const& scale, std::uint32_t n, float* out) const {
    std::uint32_t const dim = model_.config.dim;
    on.launch(n, [&](auto const&, std::uint32_t t) {
      rms_norm(in + std::size_t{t} * dim, scale.data(), dim, model_.config.norm_eps, out + std::size_t{t} * dim);
    });
  }

  model const& model_;
  logits_of which_;
  std::uint32_t most_;
  floats x_, normed_, delta_;        // [most, dim]
  floats q_, attended_;              // [most, Hq, D]
  floats k_, v_;                     // [most, Hkv, D]
  floats gate_, up_;                 // [most, hidden]
  floats cosines_, sines_;           // [most, turning/2]
  std::vector<double> frequencies_;  // [turning/2]
  std::uint32_t turning_ = 0;        // components of D that the rotation turns
  floats logits_;                    // [1 or most, vocab]
};

}  // namespace reference_model
