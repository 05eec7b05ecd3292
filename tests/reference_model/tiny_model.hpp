#pragma once
// Small random models, and the files that hold them, put together here byte by byte: no writer of the project is used.

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <reference_model/model/config.hpp>
#include <reference_model/model/weights.hpp>

#include <support/safetensors_lite.hpp>

namespace tiny {

using reference_model::config;
using reference_model::floats;
using reference_model::model;

struct sizes {
  std::uint32_t layers, dim, heads, kv_heads, head_dim, hidden, vocab;
  bool tied = false;
  kvsift::pairing pairs = kvsift::pairing::half_split;
};

inline config make_config(sizes const& s) {
  config c;
  c.layers = s.layers;
  c.dim = s.dim;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  c.hidden = s.hidden;
  c.vocab = s.vocab;
  c.max_positions = 64;
  c.tied = s.tied;
  c.rotation.pairs = s.pairs;
  return c;
}

/// Weights of a size that keeps logits near 1.
inline model make_model(config const& c, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto const fill = [&](std::uint64_t rows, std::uint64_t columns, float middle, float spread) {
    std::uniform_real_distribution<float> number(middle - spread, middle + spread);
    floats f(static_cast<std::size_t>(rows * columns));
    for (std::size_t i = 0; i < f.size(); ++i) f.data()[i] = number(random);
    return f;
  };
  auto const matrix = [&](std::uint64_t rows, std::uint64_t columns) {
    return fill(rows, columns, 0, 1.5f / std::sqrt(static_cast<float>(columns)));
  };
  std::uint32_t const queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
  model m;
  m.config = c;
  m.embedding = matrix(c.vocab, c.dim);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    reference_model::layer_weights w;
    w.attention_norm = fill(1, c.dim, 1, 0.5f);
    w.query = matrix(queries, c.dim);
    w.key = matrix(keys, c.dim);
    w.value = matrix(keys, c.dim);
    w.output = matrix(c.dim, queries);
    w.feed_norm = fill(1, c.dim, 1, 0.5f);
    w.gate = matrix(c.hidden, c.dim);
    w.up = matrix(c.hidden, c.dim);
    w.down = matrix(c.dim, c.hidden);
    m.layers.push_back(std::move(w));
  }
  m.final_norm = fill(1, c.dim, 1, 0.5f);
  if (!c.tied) m.unembedding = matrix(c.vocab, c.dim);
  return m;
}

/// Calls f(name, shape, floats) for every tensor under its name in Hugging Face's layout.
template <class F>
void for_each_tensor(model const& m, F const& f) {
  std::uint64_t const dim = m.config.dim, hidden = m.config.hidden, vocab = m.config.vocab;
  std::uint64_t const queries = std::uint64_t{m.config.heads} * m.config.head_dim;
  std::uint64_t const keys = std::uint64_t{m.config.kv_heads} * m.config.head_dim;
  using shape = std::vector<std::uint64_t>;
  f("model.embed_tokens.weight", shape{vocab, dim}, m.embedding);
  for (std::size_t l = 0; l < m.layers.size(); ++l) {
    std::string const layer = "model.layers." + std::to_string(l) + ".";
    reference_model::layer_weights const& w = m.layers[l];
    f(layer + "input_layernorm.weight", shape{dim}, w.attention_norm);
    f(layer + "self_attn.q_proj.weight", shape{queries, dim}, w.query);
    f(layer + "self_attn.k_proj.weight", shape{keys, dim}, w.key);
    f(layer + "self_attn.v_proj.weight", shape{keys, dim}, w.value);
    f(layer + "self_attn.o_proj.weight", shape{dim, queries}, w.output);
    f(layer + "post_attention_layernorm.weight", shape{dim}, w.feed_norm);
    f(layer + "mlp.gate_proj.weight", shape{hidden, dim}, w.gate);
    f(layer + "mlp.up_proj.weight", shape{hidden, dim}, w.up);
    f(layer + "mlp.down_proj.weight", shape{dim, hidden}, w.down);
  }
  f("model.norm.weight", shape{dim}, m.final_norm);
  if (!m.config.tied) f("lm_head.weight", shape{vocab, dim}, m.unembedding);
}

/// The tensors as the tests' own safetensors writer takes them.
inline std::map<std::string, support::tensor> tensors(model const& m) {
  std::map<std::string, support::tensor> all;
  for_each_tensor(m, [&](std::string const& name, std::vector<std::uint64_t> const& shape, floats const& f) {
    all[name] = {{shape.begin(), shape.end()}, {f.data(), f.data() + f.size()}};
  });
  return all;
}

/// A config.json, `more` being further fields with a comma in front of each.
inline std::string config_json(config const& c, std::string const& more = "") {
  auto const field = [](char const* name, std::uint32_t value) {
    return ",\"" + std::string(name) + "\":" + std::to_string(value);
  };
  return "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"" + field("hidden_size", c.dim) +
         field("intermediate_size", c.hidden) + field("num_hidden_layers", c.layers) +
         field("num_attention_heads", c.heads) + field("num_key_value_heads", c.kv_heads) +
         field("head_dim", c.head_dim) + field("vocab_size", c.vocab) +
         field("max_position_embeddings", c.max_positions) + ",\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0" +
         ",\"tie_word_embeddings\":" + (c.tied ? "true" : "false") + more + "}";
}

/// A llama2.c checkpoint.
inline std::string llama2c_bytes(model const& m) {
  config const& c = m.config;
  std::int32_t const vocab = static_cast<std::int32_t>(c.vocab);
  std::int32_t const header[7] = {static_cast<std::int32_t>(c.dim),          static_cast<std::int32_t>(c.hidden),
                                  static_cast<std::int32_t>(c.layers),       static_cast<std::int32_t>(c.heads),
                                  static_cast<std::int32_t>(c.kv_heads),     c.tied ? vocab : -vocab,
                                  static_cast<std::int32_t>(c.max_positions)};
  std::string bytes(reinterpret_cast<char const*>(header), sizeof header);
  auto const put = [&](floats const& f) {
    bytes.append(reinterpret_cast<char const*>(f.data()), f.size() * sizeof(float));
  };
  using weights = reference_model::layer_weights;
  auto const put_all = [&](floats weights::*kind) {
    for (weights const& layer : m.layers) put(layer.*kind);
  };
  put(m.embedding);
  for (floats weights::*kind : {&weights::attention_norm, &weights::query, &weights::key, &weights::value,
                                &weights::output, &weights::feed_norm, &weights::gate, &weights::down, &weights::up})
    put_all(kind);
  put(m.final_norm);
  bytes.append(std::size_t{c.max_positions} * c.head_dim * sizeof(float), '\0');
  if (!c.tied) put(m.unembedding);
  return bytes;
}

}  // namespace tiny
