#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// The fields of a config.json of LlamaForCausalLM. Whatever would change the computation and is not implemented (scaled
/// rotation, biases, another activation) is refused, never ignored. Throws bad_file.
inline config hugging_face_config(std::string const& file, std::string_view text) {
  json const j = parse_object(file, text);
  auto const given = [&](char const* field) { return j.contains(field) && !j[field].is_null(); };
  auto const whole = [&](char const* field) {
    if (!given(field)) throw bad_file(file, std::string(field) + " is missing; a Llama configuration states it");
    if (!j[field].is_number_unsigned() || j[field].get<std::uint64_t>() > 0x7fffffff)
      throw bad_file(file, std::string(field) + " is " + shown(j[field]) + "; a whole number up to 2147483647 is expected");
    return j[field].get<std::uint32_t>();
  };
  auto const number = [&](json const& from, char const* field, double otherwise) {
    if (!from.contains(field) || from[field].is_null()) return otherwise;
    if (!from[field].is_number()) throw bad_file(file, std::string(field) + " is " + shown(from[field]) + "; a number is expected");
    return from[field].get<double>();
  };
  auto const only = [&](json const& from, char const* field, json const& value) {
    if (from.contains(field) && !from[field].is_null() && from[field] != value)
      throw bad_file(file, std::string(field) + " is " + shown(from[field]) + "; only " + shown(value) +
                               " is implemented; use another checkpoint");
  };

  only(j, "model_type", "llama");
  only(j, "architectures", json::array({"LlamaForCausalLM"}));
  only(j, "hidden_act", "silu");
  only(j, "attention_bias", false);
  only(j, "mlp_bias", false);
  config c;
  c.dim = whole("hidden_size");
  c.hidden = whole("intermediate_size");
  c.layers = whole("num_hidden_layers");
  c.heads = whole("num_attention_heads");
  c.kv_heads = given("num_key_value_heads") ? whole("num_key_value_heads") : c.heads;
  c.vocab = whole("vocab_size");
  c.max_positions = whole("max_position_embeddings");
  if (given("head_dim")) {
    c.head_dim = whole("head_dim");
  } else if (c.heads == 0 || c.dim % c.heads != 0) {
    throw bad_file(file, "num_attention_heads is " + std::to_string(c.heads) + "; it must divide hidden_size, " +
                             std::to_string(c.dim) + ", or head_dim must be given");
  } else {
    c.head_dim = c.dim / c.heads;
  }
  c.norm_eps = number(j, "rms_norm_eps", 1e-6);
  c.rope_theta = number(j, "rope_theta", 10000);
  for (char const* field : {"rope_scaling", "rope_parameters"}) {
    if (!given(field)) continue;
    if (!j[field].is_object()) throw bad_file(file, std::string(field) + " is " + shown(j[field]) + "; an object is expected");
    only(j[field], "rope_type", "default");
    only(j[field], "type", "default");
    c.rope_theta = number(j[field], "rope_theta", c.rope_theta);
  }
  if (given("tie_word_embeddings") && !j["tie_word_embeddings"].is_boolean())
    throw bad_file(file, "tie_word_embeddings is " + shown(j["tie_word_embeddings"]) + "; true or false is expected");
  c.tied = given("tie_word_embeddings") && j["tie_word_embeddings"].get<bool>();
  if (given("bos_token_id")) c.bos = whole("bos_token_id");
  if (given("eos_token_id")) {
    c.ends.clear();
    json const& ends = j["eos_token_id"];
    for (json const& end : ends.is_array() ? ends : json::array({ends})) {
      if (!end.is_number_unsigned() || end.get<std::uint64_t>() >= c.vocab)
        throw bad_file(file, "eos_token_id is " + shown(ends) + "; tokens below vocab_size are expected");
      c.ends.push_back(end.get<std::uint32_t>());
    }
  }
  check(c, file);
  return c;
}

/// The safetensors files of a model: one, or several that an index joins. Finds a tensor by name. Throws bad_file.
class weight_files {
 public:
  /// `path` is a .safetensors file or a .safetensors.index.json.
  explicit weight_files(std::filesystem::path const& path) {
    if (path.extension() != ".json") {
      safetensors_reader& only = open(path);
      for (auto const& [tensor, unused] : only.tensors()) where_.emplace(tensor, &only);
      return;
    }
    std::string const name = path.string();
    json const index = parse_object(name, read_text(path));
    if (!index.contains("weight_map") || !index["weight_map"].is_object())
      throw bad_file(name, "weight_map is missing or no object; it names the file of each tensor");
    for (auto const& [tensor, file] : index["weight_map"].items()) {
      std::filesystem::path const shard = file.is_string() ? file.get<std::string>() : std::string();
      if (shard.empty() || shard != shard.filename() || shard == "." || shard == "..")
        throw bad_file(name, "weight_map of '" + tensor + "' is " + shown(file) + "; the name of a file beside it is expected");
      safetensors_reader& reader = open(path.parent_path() / shard);
      if (!reader.tensors().contains(tensor))
        throw bad_file(name, "weight_map promises '" + tensor + "' in " + shard.string() + "; it is not there");
      where_.emplace(tensor, &reader);
    }
    for (auto const& [unused, reader] : files_)
      for (auto const& [tensor, entry] : reader->tensors())
        if (!where_.contains(tensor) || where_.at(tensor) != reader.get())
          throw bad_file(reader->name(), "tensor '" + tensor + "' is not of this file by the index; the files do not belong together");
    name_ = name;
  }

  /// The tensor as finite floats of this shape. Forgets it, see refuse_rest.
  floats take(std::string const& tensor, std::vector<std::uint64_t> const& shape) {
    auto const found = where_.find(tensor);
    if (found == where_.end()) throw bad_file(name_, "tensor '" + tensor + "' is missing; export the model again");
    safetensors_reader& reader = *found->second;
    floats out(reader.expect(tensor, shape).elements);  // checked against the file before memory is taken
    reader.read(tensor, shape, out.data());
    where_.erase(found);
    return out;
  }
  void forget(std::string const& tensor) { where_.erase(tensor); }

  /// Throws if a tensor was never taken: the model would compute something else than was trained.
  void refuse_rest() const {
    for (auto const& [tensor, reader] : where_)
      if (!tensor.ends_with(".rotary_emb.inv_freq"))
        throw bad_file(reader->name(), "tensor '" + tensor + "' has no place in a LlamaForCausalLM; use another checkpoint");
  }

 private:
  safetensors_reader& open(std::filesystem::path const& path) {
    std::unique_ptr<safetensors_reader>& reader = files_[path.string()];
    if (reader == nullptr) reader = std::make_unique<safetensors_reader>(path);
    name_ = path.string();
    return *reader;
  }

  std::string name_;  // of the file that a missing tensor is missed in
  std::map<std::string, std::unique_ptr<safetensors_reader>> files_;
  std::map<std::string, safetensors_reader*> where_;
};

/// Loads the weights of a LlamaForCausalLM. Every shape is checked against the configuration. Throws bad_file.
inline model load_hugging_face(std::filesystem::path const& config_file, std::filesystem::path const& weights) {
  model m;
  m.config = hugging_face_config(config_file.string(), read_text(config_file));
  config const& c = m.config;
  std::uint64_t const dim = c.dim, hidden = c.hidden, queries = std::uint64_t{c.heads} * c.head_dim,
                      keys = std::uint64_t{c.kv_heads} * c.head_dim;
  weight_files files(weights);
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

}  // namespace reference_model
