#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/position/concepts.hpp>
#include <reference_model/model/buffer.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/linear.hpp>
#include <reference_model/model/logits_of.hpp>
#include <reference_model/model/placed_weights.hpp>
#include <reference_model/model/tasks.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// A decoder of the Llama, GPT-2 and MPT families, in the order of its execution. n: tokens of a piece, Hq / Hkv: query and KV heads,
/// D: head_dim. Weights and buffers lie in Memory; the executor, which has to reach them, brings the matrix products (`linear`). All
/// memory is taken by the constructor: forward allocates nothing.
template <kvsift::cache_memory Memory>
class transformer_in {
 public:
  /// `m` must outlive this. `most_tokens` is the longest piece that forward will be given.
  explicit transformer_in(model const& m, std::uint32_t most_tokens = 1, logits_of which = logits_of::last_token)
  requires std::default_initializable<Memory>
      : transformer_in(m, most_tokens, which, Memory{}) {}
  transformer_in(model const& m, std::uint32_t most_tokens, logits_of which, Memory const& memory)
      : model_(m), which_(which), most_(checked(most_tokens)), memory_(memory), weights_(m, memory) {
    reference_model::config const& c = m.config;
    std::size_t const n = most_tokens;
    kvsift::check(c.rotation, c.head_dim);
    turning_ = c.rotation.turning(c.head_dim);
    auto const take = [&]<class T>(buffer<T, Memory>& of, std::size_t size) { of = buffer<T, Memory>(memory, size); };
    staged_.resize(2 * n);
    take(piece_, 2 * n);
    take(x_, n * c.dim);
    take(normed_, n * c.dim);
    take(delta_, n * c.dim);
    take(q_, n * c.heads * c.head_dim);
    take(k_, n * c.kv_heads * c.head_dim);
    take(v_, n * c.kv_heads * c.head_dim);
    take(attended_, n * c.heads * c.head_dim);
    take(gate_, c.between == activation::gated_silu ? n * c.hidden : 0);
    take(up_, n * c.hidden);
    take(cosines_, n * turning_ / 2);
    take(sines_, n * turning_ / 2);
    take(frequencies_, turning_ / 2);
    take(logits_, (which == logits_of::every_token ? n : 1) * c.vocab);
    if (weights_.narrow()) take(narrowed_, n * std::max({c.dim, c.hidden, c.heads * c.head_dim}));
    take(scratch_, n * (c.head_norms ? c.kv_heads : 1) * total_scratch);
    kvsift::write_array(memory, frequencies_.data(), turning_ / 2,
                        [&](double* to) { kvsift::frequencies(c.rotation, c.head_dim, 0, to); });
  }

  reference_model::config const& config() const { return model_.config; }
  std::uint32_t most_tokens() const { return most_; }

  /// Runs a piece of n tokens [n] at positions [n] (one token: decode; several: prefill) and appends its keys and values
  /// to the cache. Returns logits [1, vocab] or [n, vocab] in Memory, valid until the next call. Logits belong to the cache before
  /// the eviction that ends this call. Positions beyond config().max_positions are computed, unless they are learned: then there are no more.
  ///
  /// The cache is a kvsift::kv_tensor, or a type of the user's with keys_are(), layer(l), step and evict of its own, found
  /// by its namespace. Per layer one step appends and attends; after the last layer one evict.
  template <class Executor, class Cache>
  float const* forward(Executor const& on, Cache& cache, std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n) {
    take(tokens, positions, n);
    return run(on, cache, n);
  }

  /// Makes n tokens [n] at positions [n], in the host's memory, the piece that run is about.
  void take(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n) {
    check_piece(n);
    for (std::uint32_t t = 0; t < n; ++t) {
      kvsift::require(tokens[t] < model_.config.vocab, "token", tokens[t], "it must be within the model's vocabulary");
      if (!model_.position_embedding.empty()) require_learned(positions[t]);
    }
    std::copy(tokens, tokens + n, staged_.data());
    std::copy(positions, positions + n, staged_.data() + n);
    memory_.copy_in(reinterpret_cast<std::byte*>(piece_.data()), staged_.data(), 2 * n * sizeof(std::uint32_t));
  }

  /// forward of the piece that was taken, or picked. Launches only: a stream that captures it for one token has a step of decode, which
  /// stays valid as tokens, positions and lengths change.
  template <class Executor, class Cache>
  float const* run(Executor const& on, Cache& cache, std::uint32_t n) {
    static_assert(std::is_same_v<kvsift::space_of<Executor>, typename Memory::space>,
                  "reference_model: the transformer lies in memory that the executor cannot reach; give transformer_in the executor's");
    check_piece(n);
    reference_model::config const& c = model_.config;
    std::uint32_t const queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
    bool const rotated = turning_ != 0 && cache.keys_are() == kvsift::keys_are::encoded;
    std::uint32_t const turning = rotated ? turning_ : 0;
    token_parts const of_heads = parts<1>(c.kv_heads), of_dim = parts<1024>(c.dim), of_hidden = parts<1024>(c.hidden);

    std::uint32_t const* const tokens = piece_.data();         // [n]
    std::uint32_t const* const positions = piece_.data() + n;  // [n]
    float* const x = x_.data();                // [n, dim], the residual stream
    float* const normed = normed_.data();      // [n, dim]
    float* const delta = delta_.data();        // [n, dim], what a block adds to x
    float* const q = q_.data();                // [n, Hq, D]
    float* const k = k_.data();                // [n, Hkv, D]
    float* const v = v_.data();                // [n, Hkv, D]
    float* const attended = attended_.data();  // [n, Hq, D]
    float* const gate = gate_.data();          // [n, hidden]
    float* const up = up_.data();              // [n, hidden]
    float* const cosines = cosines_.data();    // [n, turning / 2]
    float* const sines = sines_.data();        // [n, turning / 2]
    void* const narrowed = narrowed_.data();   // [n, the widest input of a product], for weights in 16 bits

    if (rotated && c.rotation.scaling == kvsift::rotary_scaling::dynamic_ntk)
      on.launch(1, frequencies_task{c.rotation, c.head_dim, positions + (n - 1), frequencies_.data()});
    on.launch(n, embed_task{tokens, positions, weights_.embedding, weights_.position_embedding.data(), c.dim, x,
                            frequencies_.data(), turning / 2, c.rotation.amplitude, cosines, sines});

    for (std::uint32_t l = 0; l < c.layers; ++l) {
      placed_layer const& w = weights_.layers[l];

      // attention
      on.launch(n, norm(x, w.attention_norm, w.attention_norm_bias, normed));
      linear(on, normed, n, c.dim, std::array{product{w.query, queries, q}, product{w.key, keys, k}, product{w.value, keys, v}}, narrowed);
      if (rotated || !w.query_bias.empty() || !w.query_norm.empty())
        on.launch(n * of_heads.count(), heads_task{of_heads, c.group(), c.head_dim, turning, c.rotation.pairs, c.norm_eps, q, k, v,
                                                   w.query_bias.data(), w.key_bias.data(), w.value_bias.data(), w.query_norm.data(),
                                                   w.key_norm.data(), cosines, sines, scratch_.data()});
      step(on, cache.layer(l), kvsift::arrivals{q, k, v, n}, attended);
      linear(on, attended, n, queries, std::array{product{w.output, c.dim, delta}}, narrowed);
      on.launch(n * of_dim.count(), residual_task{of_dim, x, delta, w.output_bias.data()});

      // feed-forward
      on.launch(n, norm(x, w.feed_norm, w.feed_norm_bias, normed));
      if (c.between == activation::gated_silu)
        linear(on, normed, n, c.dim, std::array{product{w.gate, c.hidden, gate}, product{w.up, c.hidden, up}}, narrowed);
      else
        linear(on, normed, n, c.dim, std::array{product{w.up, c.hidden, up}}, narrowed);
      on.launch(n * of_hidden.count(), activation_task{of_hidden, c.between, gate, up, w.gate_bias.data(), w.up_bias.data()});
      linear(on, up, n, c.hidden, std::array{product{w.down, c.dim, delta}}, narrowed);
      on.launch(n * of_dim.count(), residual_task{of_dim, x, delta, w.down_bias.data()});
    }
    evict(on, cache);

    std::uint32_t const last = which_ == logits_of::last_token ? 1 : n;  // tokens whose logits are wanted
    on.launch(last, norm(x + std::size_t{n - last} * c.dim, weights_.final_norm, weights_.final_norm_bias, normed));
    linear(on, normed, last, c.dim, std::array{product{weights_.unembedding, c.vocab, logits_.data()}}, narrowed);
    return logits_.data();
  }

  /// Makes the likeliest token after a piece of n the next piece, at the position after it: a greedy step that needs no host. The position
  /// is not checked against learned ones. Of logits_of::last_token. One launch.
  template <class Executor>
  void pick(Executor const& on, std::uint32_t n) {
    kvsift::require(which_ == logits_of::last_token, "logits", 0, "are of every token; a token is picked from the last one's");
    on.launch(1, pick_task{logits_.data(), model_.config.vocab, piece_.data() + (2 * n - 1), piece_.data(), piece_.data() + 1,
                           reinterpret_cast<std::uint32_t*>(scratch_.data())});
  }

  /// The token that was picked, once that is done.
  std::uint32_t picked() const {
    std::uint32_t token = 0;
    memory_.copy_out(&token, reinterpret_cast<std::byte const*>(piece_.data()), sizeof token);
    return token;
  }

 private:
  norm_task norm(float const* in, weight_view const& scale, weight_view const& bias, float* out) const {
    reference_model::config const& c = model_.config;
    return {c.norm, c.norm_eps, c.dim, in, scale.data(), bias.data(), out, scratch_.data()};
  }

  /// How many numbers of a token a block takes: on the host all of them.
  template <std::uint32_t Each>
  static token_parts parts(std::uint32_t size) {
    return {size, kvsift::is_host_memory<Memory> ? size : Each};
  }

  static std::uint32_t checked(std::uint32_t most_tokens) {
    kvsift::require(most_tokens > 0, "most_tokens", most_tokens, "a piece has at least one token");
    return most_tokens;
  }
  void check_piece(std::uint32_t n) const {
    kvsift::require(n > 0 && n <= most_, "tokens of the piece", n, "give 1 to most_tokens of the constructor");
  }
  void require_learned(std::uint32_t position) const {
    std::uint32_t const most = model_.config.max_positions;
    if (position >= most)
      kvsift::require(false, "position", position,
                      ("this model has learned positions 0 to " + std::to_string(most - 1) +
                       " and no others; shorten the text or give positions within the cache")
                          .c_str());
  }

  using numbers = buffer<float, Memory>;

  model const& model_;
  logits_of which_;
  std::uint32_t most_;
  Memory memory_;
  placed_weights<Memory> weights_;
  std::uint32_t turning_ = 0;                         // components of D that the rotation turns
  std::vector<std::uint32_t> staged_;                 // the piece, on its way
  buffer<std::uint32_t, Memory> piece_;               // [2, n]: its tokens, then their positions
  numbers x_, normed_, delta_;                        // [most, dim]
  numbers q_, attended_;                              // [most, Hq, D]
  numbers k_, v_;                                     // [most, Hkv, D]
  numbers gate_, up_;                                 // [most, hidden], the gate empty if there is none
  numbers cosines_, sines_;                           // [most, turning/2]
  buffer<double, Memory> frequencies_;                // [turning/2]
  numbers logits_;                                    // [1 or most, vocab]
  buffer<kvsift::bf16, Memory> narrowed_;             // [most, widest], empty if no weights are in 16 bits
  buffer<double, Memory> scratch_;                    // [most, or most and Hkv, total_scratch]
};

/// In the host's memory.
using transformer = transformer_in<kvsift::main_memory>;

}  // namespace reference_model
