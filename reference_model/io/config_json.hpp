#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/model/config.hpp>

namespace reference_model {

namespace detail {

/// The fields of a JSON object, null being as good as absent. Throws bad_file.
class config_fields {
 public:
  /// Both are referred to.
  config_fields(std::string const& file, json const& object) : file_(file), object_(object) {}

  bool given(char const* field) const { return object_.contains(field) && !object_[field].is_null(); }
  json const& operator[](char const* field) const { return object_[field]; }

  std::uint32_t whole(char const* field) const {
    if (!given(field))
      throw bad_file(file_, std::string(field) + " is missing; a Llama configuration states it; add it");
    json const& value = object_[field];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 0x7fffffff)
      refuse(field, "a whole number up to 2147483647 is expected");
    return value.get<std::uint32_t>();
  }
  double number(char const* field, double otherwise) const {
    if (!given(field)) return otherwise;
    if (!object_[field].is_number()) refuse(field, "a number is expected");
    return object_[field].get<double>();
  }
  bool truth(char const* field, bool otherwise) const {
    if (!given(field)) return otherwise;
    if (!object_[field].is_boolean()) refuse(field, "true or false is expected");
    return object_[field].get<bool>();
  }
  /// Absent, or this value.
  void only(char const* field, json const& value) const {
    if (given(field) && object_[field] != value)
      refuse(field, "only " + shown(value) + " is implemented; use another checkpoint");
  }
  [[noreturn]] void refuse(std::string const& field, std::string const& limit) const {
    throw bad_file(file_, field + " is " + shown(object_[field]) + "; " + limit);
  }

 private:
  std::string const& file_;
  json const& object_;
};

/// The rotary base in rope_scaling or rope_parameters. Only the rotation without scaling is implemented.
inline double unscaled_rope_theta(std::string const& file, config_fields const& from, char const* field, double theta) {
  if (!from.given(field)) return theta;
  if (!from[field].is_object()) from.refuse(field, "an object is expected");
  config_fields const rope(file, from[field]);
  rope.only("rope_type", "default");
  rope.only("type", "default");
  rope.only("partial_rotary_factor", 1.0);
  for (auto const& [name, unused] : from[field].items())
    if (name != "rope_type" && name != "type" && name != "partial_rotary_factor" && name != "rope_theta")
      from.refuse(field, "its '" + name + "' is not implemented; use a checkpoint without scaled rotation");
  return rope.number("rope_theta", theta);
}

}  // namespace detail

/// The fields of a config.json of LlamaForCausalLM. Whatever would change the computation and is not implemented
/// (scaled rotation, biases, another activation) is refused, never ignored. `file` names it in messages. Throws
/// bad_file.
inline config hugging_face_config(std::string const& file, std::string_view text) {
  json const object = parse_object(file, text);
  detail::config_fields const fields(file, object);
  if (!fields.given("model_type") && !fields.given("architectures"))
    throw bad_file(file, "model_type is missing; \"llama\" is expected; is it the model's config.json?");
  fields.only("model_type", "llama");
  fields.only("architectures", json::array({"LlamaForCausalLM"}));
  fields.only("hidden_act", "silu");
  fields.only("attention_bias", false);
  fields.only("mlp_bias", false);
  fields.only("partial_rotary_factor", 1.0);

  config c;
  c.dim = fields.whole("hidden_size");
  c.hidden = fields.whole("intermediate_size");
  c.layers = fields.whole("num_hidden_layers");
  c.heads = fields.whole("num_attention_heads");
  c.kv_heads = fields.given("num_key_value_heads") ? fields.whole("num_key_value_heads") : c.heads;
  c.vocab = fields.whole("vocab_size");
  c.max_positions = fields.whole("max_position_embeddings");
  if (fields.given("head_dim")) {
    c.head_dim = fields.whole("head_dim");
  } else {
    if (c.heads == 0 || c.dim % c.heads != 0)
      fields.refuse("num_attention_heads",
                    "it must divide hidden_size, " + std::to_string(c.dim) + ", or head_dim must be given");
    c.head_dim = c.dim / c.heads;
  }
  c.norm_eps = fields.number("rms_norm_eps", 1e-6);
  c.rotation.theta = fields.number("rope_theta", 10000);
  c.rotation.theta = detail::unscaled_rope_theta(file, fields, "rope_scaling", c.rotation.theta);
  c.rotation.theta = detail::unscaled_rope_theta(file, fields, "rope_parameters", c.rotation.theta);
  c.tied = fields.truth("tie_word_embeddings", false);

  if (fields.given("bos_token_id")) c.bos = fields.whole("bos_token_id");
  if (fields.given("eos_token_id")) {
    json const& given = fields["eos_token_id"];
    json const ends = given.is_array() ? given : json::array({given});
    c.ends.clear();
    for (json const& end : ends) {
      if (!end.is_number_unsigned() || end.get<std::uint64_t>() >= c.vocab)
        fields.refuse("eos_token_id", "tokens below vocab_size, " + std::to_string(c.vocab) + ", are expected");
      c.ends.push_back(end.get<std::uint32_t>());
    }
  }
  config_names names;
  names.layers = "num_hidden_layers";
  names.dim = "hidden_size";
  names.heads = "num_attention_heads";
  names.kv_heads = "num_key_value_heads";
  names.hidden = "intermediate_size";
  names.vocab = "vocab_size";
  names.max_positions = "max_position_embeddings";
  check(c, file, names);
  return c;
}

}  // namespace reference_model
