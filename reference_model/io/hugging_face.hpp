#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <reference_model/io/config_json.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/weight_files.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

namespace detail {

/// Rows [out, in] of `from` [in, all], whose columns `first` .. first + out - 1 they are.
inline floats transposed(floats const& from, std::uint64_t in, std::uint64_t all, std::uint64_t first,
                         std::uint64_t out) {
  floats to(static_cast<std::size_t>(out * in));
  for (std::uint64_t i = 0; i < in; ++i)
    for (std::uint64_t o = 0; o < out; ++o) to.data()[o * in + i] = from.data()[i * all + first + o];
  return to;
}

inline floats part(floats const& from, std::uint64_t first, std::uint64_t count) {
  floats to(static_cast<std::size_t>(count));
  std::copy_n(from.data() + first, count, to.data());
  return to;
}

/// The unembedding, if the model has one of its own.
inline floats take_unembedding(config const& c, weight_files& files) {
  if (!c.tied) return files.take("lm_head.weight", {c.vocab, c.dim});
  files.forget("lm_head.weight");  // some exports write it twice
  return {};
}

/// Llama, Mistral, Qwen2, Qwen3: what a configuration does not ask for stays empty.
inline model take_llama(config const& c, weight_files& files) {
  std::uint64_t const dim = c.dim, hidden = c.hidden, queries = std::uint64_t{c.heads} * c.head_dim,
                      keys = std::uint64_t{c.kv_heads} * c.head_dim, one = c.head_dim;
  auto const take_if = [&](bool present, std::string const& tensor, std::uint64_t size) {
    return present ? files.take(tensor, {size}) : floats();
  };
  model m;
  m.config = c;
  m.embedding = files.take("model.embed_tokens.weight", {c.vocab, dim});
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    std::string const layer = "model.layers." + std::to_string(l) + ".";
    std::string const attention = layer + "self_attn.", feed = layer + "mlp.";
    layer_weights w;
    w.attention_norm = files.take(layer + "input_layernorm.weight", {dim});
    w.query = files.take(attention + "q_proj.weight", {queries, dim});
    w.query_bias = take_if(c.input_bias, attention + "q_proj.bias", queries);
    w.key = files.take(attention + "k_proj.weight", {keys, dim});
    w.key_bias = take_if(c.input_bias, attention + "k_proj.bias", keys);
    w.value = files.take(attention + "v_proj.weight", {keys, dim});
    w.value_bias = take_if(c.input_bias, attention + "v_proj.bias", keys);
    w.query_norm = take_if(c.head_norms, attention + "q_norm.weight", one);
    w.key_norm = take_if(c.head_norms, attention + "k_norm.weight", one);
    w.output = files.take(attention + "o_proj.weight", {dim, queries});
    w.output_bias = take_if(c.output_bias, attention + "o_proj.bias", dim);
    w.feed_norm = files.take(layer + "post_attention_layernorm.weight", {dim});
    w.gate = files.take(feed + "gate_proj.weight", {hidden, dim});
    w.gate_bias = take_if(c.feed_bias, feed + "gate_proj.bias", hidden);
    w.up = files.take(feed + "up_proj.weight", {hidden, dim});
    w.up_bias = take_if(c.feed_bias, feed + "up_proj.bias", hidden);
    w.down = files.take(feed + "down_proj.weight", {dim, hidden});
    w.down_bias = take_if(c.feed_bias, feed + "down_proj.bias", dim);
    m.layers.push_back(std::move(w));
  }
  m.final_norm = files.take("model.norm.weight", {dim});
  m.unembedding = take_unembedding(c, files);
  return m;
}

/// GPT-2: matrices are stored [in, out], and those of query, key and value side by side. Older exports name tensors
/// with `transformer.` in front, and hold the causal mask of every layer.
inline model take_gpt2(config const& c, weight_files& files) {
  std::uint64_t const dim = c.dim, hidden = c.hidden;
  std::string const front = files.holds("transformer.wte.weight") ? "transformer." : "";
  auto const take_matrix = [&](std::string const& tensor, std::uint64_t in, std::uint64_t out) {
    return transposed(files.take(tensor, {in, out}), in, out, 0, out);
  };
  model m;
  m.config = c;
  m.embedding = files.take(front + "wte.weight", {c.vocab, dim});
  m.position_embedding = files.take(front + "wpe.weight", {c.max_positions, dim});
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    std::string const layer = front + "h." + std::to_string(l) + ".";
    layer_weights w;
    w.attention_norm = files.take(layer + "ln_1.weight", {dim});
    w.attention_norm_bias = files.take(layer + "ln_1.bias", {dim});
    floats const joined = files.take(layer + "attn.c_attn.weight", {dim, 3 * dim});
    floats const biases = files.take(layer + "attn.c_attn.bias", {3 * dim});
    w.query = transposed(joined, dim, 3 * dim, 0, dim);
    w.query_bias = part(biases, 0, dim);
    w.key = transposed(joined, dim, 3 * dim, dim, dim);
    w.key_bias = part(biases, dim, dim);
    w.value = transposed(joined, dim, 3 * dim, 2 * dim, dim);
    w.value_bias = part(biases, 2 * dim, dim);
    w.output = take_matrix(layer + "attn.c_proj.weight", dim, dim);
    w.output_bias = files.take(layer + "attn.c_proj.bias", {dim});
    w.feed_norm = files.take(layer + "ln_2.weight", {dim});
    w.feed_norm_bias = files.take(layer + "ln_2.bias", {dim});
    w.up = take_matrix(layer + "mlp.c_fc.weight", dim, hidden);
    w.up_bias = files.take(layer + "mlp.c_fc.bias", {hidden});
    w.down = take_matrix(layer + "mlp.c_proj.weight", hidden, dim);
    w.down_bias = files.take(layer + "mlp.c_proj.bias", {dim});
    files.forget(layer + "attn.bias");
    files.forget(layer + "attn.masked_bias");
    m.layers.push_back(std::move(w));
  }
  m.final_norm = files.take(front + "ln_f.weight", {dim});
  m.final_norm_bias = files.take(front + "ln_f.bias", {dim});
  m.unembedding = take_unembedding(c, files);
  return m;
}

/// MPT: query, key and value are rows of one matrix, and nothing has a bias.
inline model take_mpt(config const& c, weight_files& files) {
  std::uint64_t const dim = c.dim, hidden = c.hidden;
  std::string const front = files.holds("transformer.wte.weight") ? "transformer." : "";
  model m;
  m.config = c;
  m.embedding = files.take(front + "wte.weight", {c.vocab, dim});
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    std::string const layer = front + "blocks." + std::to_string(l) + ".";
    layer_weights w;
    w.attention_norm = files.take(layer + "norm_1.weight", {dim});
    floats const joined = files.take(layer + "attn.Wqkv.weight", {3 * dim, dim});
    w.query = part(joined, 0, dim * dim);
    w.key = part(joined, dim * dim, dim * dim);
    w.value = part(joined, 2 * dim * dim, dim * dim);
    w.output = files.take(layer + "attn.out_proj.weight", {dim, dim});
    w.feed_norm = files.take(layer + "norm_2.weight", {dim});
    w.up = files.take(layer + "ffn.up_proj.weight", {hidden, dim});
    w.down = files.take(layer + "ffn.down_proj.weight", {dim, hidden});
    m.layers.push_back(std::move(w));
  }
  m.final_norm = files.take(front + "norm_f.weight", {dim});
  m.unembedding = take_unembedding(c, files);
  return m;
}

}  // namespace detail

/// The weights of a model in Hugging Face's layout. Every shape is checked against the configuration, and no tensor may
/// be left over. Throws bad_file.
inline model take_weights(config const& c, weight_files& files) {
  model m = c.learned_positions ? detail::take_gpt2(c, files) : c.bias.none() ? detail::take_llama(c, files) : detail::take_mpt(c, files);
  files.refuse_rest();
  return m;
}

/// Loads a model in Hugging Face's layout. `weights` is a .safetensors file or a .safetensors.index.json. Throws
/// bad_file.
inline model load_hugging_face(std::filesystem::path const& config_file, std::filesystem::path const& weights) {
  config const c = hugging_face_config(config_file.string(), read_text(config_file, std::uint64_t{1} << 20));
  weight_files files =
      weights.extension() == ".json" ? weight_files::of_index(weights) : weight_files(file_source(weights));
  return take_weights(c, files);
}

}  // namespace reference_model
