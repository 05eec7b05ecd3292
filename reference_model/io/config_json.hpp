#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/config_fields.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/io/rotation_json.hpp>
#include <reference_model/model/config.hpp>

namespace reference_model {

namespace detail {

/// What a model_type adds to Llama, whose layout the tensors of all but gpt2 and mpt have.
struct family {
  char const* model_type;
  char const* architecture;
  bool states_biases;  ///< in attention_bias, for query, key, value and output
  bool input_bias;     ///< query, key and value have one, whatever is stated
  bool head_norms;
  std::uint32_t head_dim;  ///< where the file does not say; 0: hidden_size / num_attention_heads
  std::uint32_t window;    ///< tokens that attention looks back where the file does not say; 0: all
};

inline constexpr std::array<family, 6> families{{
    {"llama", "LlamaForCausalLM", true, false, false, 0, 0},
    {"mistral", "MistralForCausalLM", false, false, false, 0, 4096},
    {"qwen2", "Qwen2ForCausalLM", false, true, false, 0, 0},
    {"qwen3", "Qwen3ForCausalLM", true, false, true, 128, 0},
    {"gpt2", "GPT2LMHeadModel", false, false, false, 0, 0},
    {"mpt", "MptForCausalLM", false, false, false, 0, 0},
}};

/// The family that model_type names; where it is missing, the one that architectures names.
inline family const& family_of(config_fields const& fields) {
  std::string known;
  for (family const& f : families) {
    if (fields.given("model_type") && fields["model_type"] == f.model_type) {
      if (fields.given("architectures") && fields["architectures"] != json::array({f.architecture}))
        fields.refuse("architectures", std::string("of ") + f.model_type + " [\"" + f.architecture +
                                           "\"] is implemented; use another checkpoint");
      return f;
    }
    if (!fields.given("model_type") && fields.given("architectures") &&
        fields["architectures"] == json::array({f.architecture}))
      return f;
    known += std::string(known.empty() ? "" : ", ") + f.model_type;
  }
  fields.refuse(fields.given("model_type") || !fields.given("architectures") ? "model_type" : "architectures",
                "the models " + known + " with a head for the next token are implemented; use another checkpoint");
}

/// What no model implements, by name.
inline void refuse_unknown_computations(config_fields const& fields, config const& c) {
  for (char const* field : {"quantization_config", "compression_config"})
    if (fields.given(field))
      fields.refuse(field, "weights as F32, F16 or BF16 are read; use the checkpoint before that");
  fields.only("rope_interleaved", false);
  fields.only("use_sliding_window", false);
  fields.only("layer_types", json(std::vector<std::string>(c.layers, "full_attention")));
}

/// A window that no text of the model's length is longer than is none.
inline void refuse_window(config_fields const& fields, family const& f, std::uint32_t positions) {
  char const* const field = "sliding_window";
  bool const stated = fields.object().contains(field);
  if (f.window == 0 || (stated && !fields.given(field))) return;
  std::uint32_t const window = stated ? fields.whole(field) : f.window;
  if (window >= positions) return;
  std::string const tokens = std::to_string(window);
  fields.refuse(field, "attention to the last " + tokens + " of " + std::to_string(positions) +
                           " positions is not implemented; set it to null for texts of up to " + tokens +
                           " tokens, which it does not change");
}

inline void read_tokens(config_fields const& fields, config& c) {
  if (fields.given("bos_token_id")) c.bos = fields.whole("bos_token_id");
  if (!fields.given("eos_token_id")) return;
  json const& given = fields["eos_token_id"];
  json const ends = given.is_array() ? given : json::array({given});
  c.ends.clear();
  for (json const& end : ends) {
    if (!end.is_number_unsigned() || end.get<std::uint64_t>() >= c.vocab)
      fields.refuse("eos_token_id", "tokens below vocab_size, " + std::to_string(c.vocab) + ", are expected");
    c.ends.push_back(end.get<std::uint32_t>());
  }
}

inline std::uint32_t divided(config_fields const& fields, char const* heads, config const& c,
                             std::string const& limit) {
  if (c.heads == 0 || c.dim % c.heads != 0) fields.refuse(heads, "it must divide " + limit);
  return c.dim / c.heads;
}

inline config llama_config(config_fields const& fields, family const& f) {
  fields.only("hidden_act", "silu");
  config c;
  c.dim = fields.whole("hidden_size");
  c.hidden = fields.whole("intermediate_size");
  c.layers = fields.whole("num_hidden_layers");
  c.heads = fields.whole("num_attention_heads");
  c.kv_heads = fields.whole("num_key_value_heads", c.heads);
  c.vocab = fields.whole("vocab_size");
  c.max_positions = fields.whole("max_position_embeddings");
  c.head_dim = fields.given("head_dim") ? fields.whole("head_dim")
               : f.head_dim != 0        ? f.head_dim
                                        : divided(fields, "num_attention_heads", c,
                                                  "hidden_size, " + std::to_string(c.dim) + ", or head_dim must be given");
  c.norm_eps = fields.number("rms_norm_eps", 1e-6);
  c.tied = fields.truth("tie_word_embeddings", false);
  if (!f.states_biases) fields.only("attention_bias", f.input_bias);
  if (std::string_view(f.model_type) != "llama") fields.only("mlp_bias", false);
  c.output_bias = f.states_biases && fields.truth("attention_bias", false);
  c.input_bias = f.input_bias || c.output_bias;
  c.feed_bias = fields.truth("mlp_bias", false);
  c.head_norms = f.head_norms;
  config_names names;
  names.layers = "num_hidden_layers";
  names.dim = "hidden_size";
  names.heads = "num_attention_heads";
  names.kv_heads = "num_key_value_heads";
  names.hidden = "intermediate_size";
  names.vocab = "vocab_size";
  names.max_positions = "max_position_embeddings";
  names.norm_eps = "rms_norm_eps";
  read_tokens(fields, c);
  check(c, fields.file(), names);
  read_rotation(fields, c);
  check(c, fields.file(), names);
  refuse_window(fields, f, c.max_positions);
  return c;
}

inline config gpt2_config(config_fields const& fields) {
  if (fields.given("activation_function") && fields["activation_function"] != "gelu_pytorch_tanh")  // its other name
    fields.only("activation_function", "gelu_new");
  fields.only("scale_attn_weights", true);
  fields.only("scale_attn_by_inverse_layer_idx", false);
  fields.only("add_cross_attention", false);
  config c;
  c.learned_positions = true;
  c.rotation.theta = 0;
  c.norm = normalisation::layer;
  c.between = activation::gelu;
  c.input_bias = c.output_bias = c.feed_bias = true;
  c.dim = fields.whole("n_embd");
  c.layers = fields.whole("n_layer");
  c.heads = c.kv_heads = fields.whole("n_head");
  c.vocab = fields.whole("vocab_size");
  c.max_positions = fields.whole("n_positions");
  c.head_dim = divided(fields, "n_head", c, "n_embd, " + std::to_string(c.dim));
  config_names names;
  names.layers = "n_layer";
  names.dim = "n_embd";
  names.heads = names.kv_heads = "n_head";
  names.hidden = "n_inner";
  names.vocab = "vocab_size";
  names.max_positions = "n_positions";
  names.norm_eps = "layer_norm_epsilon";
  c.hidden = fields.whole("n_inner", 4 * c.dim);
  c.norm_eps = fields.number("layer_norm_epsilon", 1e-5);
  c.tied = fields.truth("tie_word_embeddings", true);
  c.bos = 50256;
  c.ends = {50256};
  read_tokens(fields, c);
  check(c, fields.file(), names);
  return c;
}

/// MPT: linear biases in place of positions, no biases else.
inline config mpt_config(config_fields const& fields) {
  fields.only("no_bias", true);
  fields.only("logit_scale", nullptr);
  fields.only("embedding_fraction", 1.0);
  fields.only("expansion_ratio", 4);  // this and alibi_bias_max: transformers computes with these, whatever is stated
  json const attention_object = fields.given("attn_config") ? fields["attn_config"] : json::object();
  if (!attention_object.is_object()) fields.refuse("attn_config", "an object is expected");
  config_fields const attention(fields.file(), attention_object);
  attention.only("attn_type", "multihead_attention");
  attention.only("alibi", true);
  attention.only("clip_qkv", nullptr);
  attention.only("softmax_scale", nullptr);
  for (char const* const field : {"qk_ln", "prefix_lm", "attn_uses_sequence_id"}) attention.only(field, false);
  config c;
  c.rotation.theta = 0;
  c.norm = normalisation::layer;
  c.between = activation::exact_gelu;
  c.dim = fields.whole("d_model");
  c.layers = fields.whole("n_layers");
  c.heads = c.kv_heads = fields.whole("n_heads");
  c.vocab = fields.whole("vocab_size");
  c.max_positions = fields.whole("max_seq_len");
  c.head_dim = divided(fields, "n_heads", c, "d_model, " + std::to_string(c.dim));
  config_names names;
  names.layers = "n_layers";
  names.dim = "d_model";
  names.heads = names.kv_heads = "n_heads";
  names.hidden = "4 x d_model";
  names.vocab = "vocab_size";
  names.max_positions = "max_seq_len";
  names.norm_eps = "layer_norm_epsilon";
  c.hidden = c.dim > 0x3fffffff ? c.dim : 4 * c.dim;
  c.norm_eps = fields.number("layer_norm_epsilon", 1e-5);
  attention.only("alibi_bias_max", 8);
  c.bias.steepness = 8;
  c.tied = fields.truth("tie_word_embeddings", true);
  c.bos = 0;
  c.ends = {0};
  read_tokens(fields, c);
  check(c, fields.file(), names);
  return c;
}

}  // namespace detail

/// The fields of a config.json, of the families above. Whatever would change the computation and is not implemented
/// (another activation, a window of attention, quantised weights) is refused, never ignored. `file` names it in
/// messages. Throws bad_file.
inline config hugging_face_config(std::string const& file, std::string_view text) {
  json const object = parse_object(file, text);
  detail::config_fields const fields(file, object);
  if (!fields.given("model_type") && !fields.given("architectures"))
    throw bad_file(file, "model_type is missing; \"llama\" or another is expected; is it the model's config.json?");
  detail::family const& f = detail::family_of(fields);
  std::string_view const type = f.model_type;
  config const c = type == "gpt2" ? detail::gpt2_config(fields) : type == "mpt" ? detail::mpt_config(fields) : detail::llama_config(fields, f);
  detail::refuse_unknown_computations(fields, c);
  return c;
}

}  // namespace reference_model
