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

/// The same sizes as a GPT-2.
inline config make_gpt2_config(sizes const& s) {
  config c = make_config(s);
  c.learned_positions = true;
  c.rotation.theta = 0;
  c.norm = reference_model::normalisation::layer;
  c.between = reference_model::activation::gelu;
  c.input_bias = c.output_bias = c.feed_bias = true;
  return c;
}

/// Weights of a size that keeps logits near 1. What the configuration does not ask for stays empty.
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
  auto const scale = [&](bool present, std::uint64_t size) { return present ? fill(1, size, 1, 0.5f) : floats(); };
  auto const bias = [&](bool present, std::uint64_t size) { return present ? fill(1, size, 0, 0.5f) : floats(); };
  std::uint32_t const queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
  bool const shifted = c.norm == reference_model::normalisation::layer;
  bool const gated = c.between == reference_model::activation::gated_silu;
  model m;
  m.config = c;
  m.embedding = matrix(c.vocab, c.dim);
  if (c.learned_positions) m.position_embedding = matrix(c.max_positions, c.dim);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    reference_model::layer_weights w;
    w.attention_norm = scale(true, c.dim);
    w.attention_norm_bias = bias(shifted, c.dim);
    w.query = matrix(queries, c.dim);
    w.query_bias = bias(c.input_bias, queries);
    w.key = matrix(keys, c.dim);
    w.key_bias = bias(c.input_bias, keys);
    w.value = matrix(keys, c.dim);
    w.value_bias = bias(c.input_bias, keys);
    w.query_norm = scale(c.head_norms, c.head_dim);
    w.key_norm = scale(c.head_norms, c.head_dim);
    w.output = matrix(c.dim, queries);
    w.output_bias = bias(c.output_bias, c.dim);
    w.feed_norm = scale(true, c.dim);
    w.feed_norm_bias = bias(shifted, c.dim);
    if (gated) w.gate = matrix(c.hidden, c.dim);
    w.gate_bias = bias(gated && c.feed_bias, c.hidden);
    w.up = matrix(c.hidden, c.dim);
    w.up_bias = bias(c.feed_bias, c.hidden);
    w.down = matrix(c.dim, c.hidden);
    w.down_bias = bias(c.feed_bias, c.dim);
    m.layers.push_back(std::move(w));
  }
  m.final_norm = scale(true, c.dim);
  m.final_norm_bias = bias(shifted, c.dim);
  if (!c.tied) m.unembedding = matrix(c.vocab, c.dim);
  return m;
}

/// Matrices [out, in] of one width side by side, as a GPT-2's files have them: [in, all out].
inline floats side_by_side(std::vector<floats const*> const& matrices, std::uint64_t in) {
  std::uint64_t all = 0, first = 0;
  for (floats const* matrix : matrices) all += matrix->size() / in;
  floats joined(in * all);
  for (floats const* matrix : matrices) {
    for (std::uint64_t i = 0; i < matrix->size(); ++i) joined.data()[i % in * all + first + i / in] = matrix->data()[i];
    first += matrix->size() / in;
  }
  return joined;
}

/// Calls f(name, shape, floats) for every tensor of a GPT-2, `front` before its name.
template <class F>
void for_each_gpt2_tensor(model const& m, std::string const& front, F const& f) {
  std::uint64_t const dim = m.config.dim, hidden = m.config.hidden;
  using shape = std::vector<std::uint64_t>;
  f(front + "wte.weight", shape{m.config.vocab, dim}, m.embedding);
  f(front + "wpe.weight", shape{m.config.max_positions, dim}, m.position_embedding);
  for (std::size_t l = 0; l < m.layers.size(); ++l) {
    std::string const layer = front + "h." + std::to_string(l) + ".";
    reference_model::layer_weights const& w = m.layers[l];
    f(layer + "ln_1.weight", shape{dim}, w.attention_norm);
    f(layer + "ln_1.bias", shape{dim}, w.attention_norm_bias);
    f(layer + "attn.c_attn.weight", shape{dim, 3 * dim}, side_by_side({&w.query, &w.key, &w.value}, dim));
    f(layer + "attn.c_attn.bias", shape{3 * dim}, side_by_side({&w.query_bias, &w.key_bias, &w.value_bias}, 1));
    f(layer + "attn.c_proj.weight", shape{dim, dim}, side_by_side({&w.output}, dim));
    f(layer + "attn.c_proj.bias", shape{dim}, w.output_bias);
    f(layer + "ln_2.weight", shape{dim}, w.feed_norm);
    f(layer + "ln_2.bias", shape{dim}, w.feed_norm_bias);
    f(layer + "mlp.c_fc.weight", shape{dim, hidden}, side_by_side({&w.up}, dim));
    f(layer + "mlp.c_fc.bias", shape{hidden}, w.up_bias);
    f(layer + "mlp.c_proj.weight", shape{hidden, dim}, side_by_side({&w.down}, hidden));
    f(layer + "mlp.c_proj.bias", shape{dim}, w.down_bias);
  }
  f(front + "ln_f.weight", shape{dim}, m.final_norm);
  f(front + "ln_f.bias", shape{dim}, m.final_norm_bias);
  if (!m.config.tied) f("lm_head.weight", shape{m.config.vocab, dim}, m.unembedding);
}

/// Calls f(name, shape, floats) for every tensor under its name in Hugging Face's layout.
template <class F>
void for_each_tensor(model const& m, F const& f) {
  if (m.config.learned_positions) return for_each_gpt2_tensor(m, "transformer.", f);
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
    for (auto const& [name, bias] :
         {std::pair{"self_attn.q_proj", &w.query_bias}, {"self_attn.k_proj", &w.key_bias},
          {"self_attn.v_proj", &w.value_bias}, {"self_attn.o_proj", &w.output_bias}, {"mlp.gate_proj", &w.gate_bias},
          {"mlp.up_proj", &w.up_bias}, {"mlp.down_proj", &w.down_bias}})
      if (!bias->empty()) f(layer + name + ".bias", shape{bias->size()}, *bias);
    if (!w.query_norm.empty()) f(layer + "self_attn.q_norm.weight", shape{w.query_norm.size()}, w.query_norm);
    if (!w.key_norm.empty()) f(layer + "self_attn.k_norm.weight", shape{w.key_norm.size()}, w.key_norm);
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

/// A config.json, `more` being further fields with a comma in front of each. The model type follows from what the model
/// has: GPT-2, Qwen3, Qwen2 or Llama.
inline std::string config_json(config const& c, std::string const& more = "") {
  auto const field = [](char const* name, std::uint32_t value) {
    return ",\"" + std::string(name) + "\":" + std::to_string(value);
  };
  auto const truth = [](char const* name, bool value) {
    return ",\"" + std::string(name) + "\":" + (value ? "true" : "false");
  };
  auto const type = [](char const* name, char const* architecture) {
    return "{\"architectures\":[\"" + std::string(architecture) + "\"],\"model_type\":\"" + name + "\"";
  };
  if (c.learned_positions)
    return type("gpt2", "GPT2LMHeadModel") + field("n_embd", c.dim) + field("n_inner", c.hidden) +
           field("n_layer", c.layers) + field("n_head", c.heads) + field("vocab_size", c.vocab) +
           field("n_positions", c.max_positions) + field("bos_token_id", c.bos) + field("eos_token_id", c.ends[0]) +
           ",\"layer_norm_epsilon\":1e-05,\"activation_function\":\"gelu_new\"" +
           truth("tie_word_embeddings", c.tied) + more + "}";
  std::string const named = c.head_norms                        ? type("qwen3", "Qwen3ForCausalLM")
                            : c.input_bias && !c.output_bias ? type("qwen2", "Qwen2ForCausalLM")
                                                             : type("llama", "LlamaForCausalLM");
  return named + (c.output_bias ? truth("attention_bias", true) : "") + (c.feed_bias ? truth("mlp_bias", true) : "") +
         field("hidden_size", c.dim) +
         field("intermediate_size", c.hidden) + field("num_hidden_layers", c.layers) +
         field("num_attention_heads", c.heads) + field("num_key_value_heads", c.kv_heads) +
         field("head_dim", c.head_dim) + field("vocab_size", c.vocab) +
         field("max_position_embeddings", c.max_positions) + ",\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0" +
         truth("tie_word_embeddings", c.tied) + more + "}";
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
