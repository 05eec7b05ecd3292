#pragma once

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

/// The weights of a LlamaForCausalLM. Every shape is checked against the configuration, and no tensor may be left over.
/// Throws bad_file.
inline model take_llama(config const& c, weight_files& files) {
  std::uint64_t const dim = c.dim, hidden = c.hidden, queries = std::uint64_t{c.heads} * c.head_dim,
                      keys = std::uint64_t{c.kv_heads} * c.head_dim;
  model m;
  m.config = c;
  m.embedding = files.take("model.embed_tokens.weight", {c.vocab, dim});
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    std::string const layer = "model.layers." + std::to_string(l) + ".";
    layer_weights w;
    w.attention_norm = files.take(layer + "input_layernorm.weight", {dim});
    w.query = files.take(layer + "self_attn.q_proj.weight", {queries, dim});
    w.key = files.take(layer + "self_attn.k_proj.weight", {keys, dim});
    w.value = files.take(layer + "self_attn.v_proj.weight", {keys, dim});
    w.output = files.take(layer + "self_attn.o_proj.weight", {dim, queries});
    w.feed_norm = files.take(layer + "post_attention_layernorm.weight", {dim});
    w.gate = files.take(layer + "mlp.gate_proj.weight", {hidden, dim});
    w.up = files.take(layer + "mlp.up_proj.weight", {hidden, dim});
    w.down = files.take(layer + "mlp.down_proj.weight", {dim, hidden});
    m.layers.push_back(std::move(w));
  }
  m.final_norm = files.take("model.norm.weight", {dim});
  if (c.tied)
    files.forget("lm_head.weight");  // some exports write it twice
  else
    m.unembedding = files.take("lm_head.weight", {c.vocab, dim});
  files.refuse_rest();
  return m;
}

/// Loads a model in Hugging Face's layout. `weights` is a .safetensors file or a .safetensors.index.json. Throws
/// bad_file.
inline model load_hugging_face(std::filesystem::path const& config_file, std::filesystem::path const& weights) {
  config const c = hugging_face_config(config_file.string(), read_text(config_file, std::uint64_t{1} << 20));
  weight_files files =
      weights.extension() == ".json" ? weight_files::of_index(weights) : weight_files(file_source(weights));
  return take_llama(c, files);
}

}  // namespace reference_model
