// config.json: what is read, and what is refused.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/io/config_json.hpp>

#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "tiny_model.hpp"

namespace {

using nlohmann::json;
using reference_model::config;

config read(std::string const& text) { return reference_model::hugging_face_config("config.json", text); }

json good_fields() { return json::parse(tiny::config_json(tiny::make_config({2, 12, 4, 2, 6, 10, 40}))); }

std::string with(char const* field, json const& value) {
  json fields = good_fields();
  fields[field] = value;
  return fields.dump();
}
std::string without(char const* field) {
  json fields = good_fields();
  fields.erase(field);
  return fields.dump();
}
void refused(std::string const& text, std::initializer_list<char const*> words) {
  expect_bad_file("config.json", words, [&] { read(text); });
}

TEST_CASE("config.json: every field, and its default") {
  json fields = good_fields();
  fields["rms_norm_eps"] = 1e-4;
  fields["rope_theta"] = 5e5;
  fields["bos_token_id"] = 3;
  fields["eos_token_id"] = {4, 39};
  fields["tie_word_embeddings"] = true;
  fields["torch_dtype"] = "bfloat16";
  config const c = read(fields.dump());
  CHECK(c.dim == 12);
  CHECK(c.layers == 2);
  CHECK(c.heads == 4);
  CHECK(c.kv_heads == 2);
  CHECK(c.head_dim == 6);
  CHECK(c.hidden == 10);
  CHECK(c.vocab == 40);
  CHECK(c.max_positions == 64);
  CHECK(c.norm_eps == 1e-4);
  CHECK(c.rotation.theta == 5e5);
  CHECK(c.rotation.pairs == kvsift::pairing::half_split);
  CHECK(c.tied);
  CHECK(c.bos == 3);
  CHECK(c.ends == std::vector<std::uint32_t>{4, 39});

  fields["hidden_size"] = 16;
  for (char const* field : {"num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "tie_word_embeddings"})
    fields[field] = nullptr;
  for (char const* field : {"bos_token_id", "eos_token_id", "model_type"}) fields.erase(field);
  config const d = read(fields.dump());
  CHECK(d.kv_heads == 4);
  CHECK(d.head_dim == 4);
  CHECK(d.norm_eps == 1e-6);
  CHECK(d.rotation.theta == 10000);
  CHECK_FALSE(d.tied);
  CHECK(d.bos == 1);
  CHECK(d.ends == std::vector<std::uint32_t>{2});
}

json rotation_of(char const* type, json more = json::object()) {
  more["rope_type"] = type;
  return more;
}

TEST_CASE("config.json: rotations of every type, in both spellings") {
  kvsift::rotary_encoding expected;
  CHECK(read(with("rope_scaling", nullptr)).rotation == expected);
  CHECK(read(with("rope_scaling", {{"type", "default"}})).rotation == expected);
  CHECK(read(with("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 300.0}})).rotation.theta == 300);

  expected.scaling = kvsift::rotary_scaling::linear;
  expected.factor = 2.5;
  for (char const* field : {"rope_scaling", "rope_parameters"}) {
    CHECK(read(with(field, {{"type", "linear"}, {"factor", 2.5}})).rotation == expected);
    CHECK(read(with(field, rotation_of("linear", {{"factor", 2.5}}))).rotation == expected);
    CHECK(read(with(field, rotation_of("linear", {{"type", "linear"}, {"factor", 2.5}}))).rotation == expected);
  }
  CHECK(read(with("rope_scaling", rotation_of("linear", {{"factor", 2.5}}))).max_positions == 64);

  config c = read(with("rope_scaling", rotation_of("dynamic", {{"factor", 3}})));
  CHECK(c.rotation.scaling == kvsift::rotary_scaling::dynamic_ntk);
  CHECK(c.rotation.trained == 64);
  CHECK(c.max_positions == 192);

  json const llama3{{"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
                    {"original_max_position_embeddings", 16}};
  c = read(with("rope_scaling", rotation_of("llama3", llama3)));
  CHECK(c.rotation.scaling == kvsift::rotary_scaling::llama3);
  CHECK(c.rotation.factor == 8);
  CHECK(c.rotation.trained == 16);
  CHECK(c.rotation.slow == 1);
  CHECK(c.rotation.fast == 4);
  CHECK(c.rotation.amplitude == 1);
  CHECK(c.max_positions == 64);
}

TEST_CASE("config.json: YaRN's amplitude, ramp and reach") {
  auto const yarn = [](json const& more) { return read(with("rope_scaling", rotation_of("yarn", more))); };
  config c = yarn({{"factor", 4.0}, {"original_max_position_embeddings", 64}});
  CHECK(c.rotation.scaling == kvsift::rotary_scaling::yarn);
  CHECK(c.rotation.slow == 1);
  CHECK(c.rotation.fast == 32);
  CHECK(c.rotation.amplitude == doctest::Approx(1.138629436111989));  // 0.1 log 4 + 1
  CHECK(c.max_positions == 256);
  c = yarn({{"factor", nullptr}, {"original_max_position_embeddings", 16}, {"beta_fast", 20}, {"beta_slow", 2.0}});
  CHECK(c.rotation.factor == 4);
  CHECK(c.rotation.slow == 2);
  CHECK(c.rotation.fast == 20);
  CHECK(c.max_positions == 64);
  CHECK(yarn({{"factor", 4.0}}).rotation.trained == 64);
  CHECK(yarn({{"factor", 4.0}, {"attention_factor", 0.75}}).rotation.amplitude == 0.75);
  CHECK(yarn({{"factor", 4.0}, {"mscale", 2.0}}).rotation.amplitude == doctest::Approx(1.138629436111989));
  CHECK(yarn({{"factor", 4.0}, {"mscale", 2.0}, {"mscale_all_dim", 0.5}}).rotation.amplitude ==
        doctest::Approx(1.277258872223978 / 1.069314718055995));
  CHECK(yarn({{"factor", 1}}).rotation.amplitude == 1);

  json beside = good_fields();
  beside["original_max_position_embeddings"] = 32;
  beside["rope_scaling"] = rotation_of("yarn", {{"factor", 2}});
  CHECK(read(beside.dump()).rotation.trained == 32);
  beside["rope_scaling"]["original_max_position_embeddings"] = 16;
  refused(beside.dump(), {"original_max_position_embeddings is 16", "only 32"});
}

TEST_CASE("config.json: the first components of a head turn") {
  json fields = good_fields();
  fields["head_dim"] = 8;
  fields["partial_rotary_factor"] = 0.5;
  CHECK(read(fields.dump()).rotation.rotary_dim == 4);
  fields["partial_rotary_factor"] = 1.0;
  CHECK(read(fields.dump()).rotation.rotary_dim == 0);
  fields.erase("partial_rotary_factor");
  fields["rope_parameters"] = rotation_of("linear", {{"factor", 2}, {"partial_rotary_factor", 0.25}});
  CHECK(read(fields.dump()).rotation.rotary_dim == 2);
}

TEST_CASE("config.json: rotations that are refused") {
  for (char const* field : {"rope_scaling", "rope_parameters"}) {
    for (char const* type : {"longrope", "su", "mrope", "proportional", ""}) {
      refused(with(field, rotation_of(type, {{"factor", 8.0}})), {"rope_type", type, "linear, dynamic, yarn and llama3"});
      refused(with(field, {{"type", type}}), {"type", type, "are implemented"});
    }
    refused(with(field, {{"rope_type", 3}}), {"rope_type is 3", "are implemented"});
    refused(with(field, {{"factor", 8.0}}), {field, "'factor' is not implemented for type \"default\""});
    refused(with(field, "linear"), {field, "is \"linear\"", "object"});
    refused(with(field, rotation_of("linear")), {"factor is missing"});
    refused(with(field, rotation_of("dynamic", {{"factor", "2"}})), {"factor is \"2\"", "number"});
    for (json const& factor : {json(0.5), json(-1), json(0), json(1e7)})
      refused(with(field, rotation_of("linear", {{"factor", factor}})), {"factor is", "from 1"});
    refused(with(field, rotation_of("linear", {{"factor", 2}, {"type", "yarn"}})), {"type is \"yarn\"", "only \"linear\""});
    refused(with(field, rotation_of("linear", {{"factor", 2}, {"beta_fast", 3}})), {field, "'beta_fast' is not", "linear"});
    refused(with(field, rotation_of("llama3", {{"factor", 2}, {"attention_factor", 2}})), {"low_freq_factor is missing"});
    refused(with(field, rotation_of("llama3", {{"factor", 2}, {"low_freq_factor", 4}, {"high_freq_factor", 4}})),
            {"high_freq_factor is 4", "above low_freq_factor, 4"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"truncate", false}})), {"truncate is false", "only true"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"beta_slow", 0}})), {"beta_slow is 0"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"beta_fast", 0.5}})), {"beta_fast is 0.5", "above beta_slow"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"attention_factor", 0}})), {"attention_factor is 0"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"mscale", -2}, {"mscale_all_dim", 1}})), {"mscale is -2"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"original_max_position_embeddings", 0}})),
            {"original_max_position_embeddings is 0"});
    refused(with(field, rotation_of("yarn", {{"original_max_position_embeddings", 100}})), {"factor is missing", "from 1"});
    refused(with(field, rotation_of("yarn", {{"factor", 2}, {"mscale", 101}, {"mscale_all_dim", 1}})), {"mscale is 101"});
    refused(with(field, rotation_of("default", {{"mrope_section", {1, 2}}})), {field, "'mrope_section' is not"});
    refused(with(field, {{"rope_theta", "x"}}), {"rope_theta is \"x\"", "number"});
    refused(with(field, {{"partial_rotary_factor", 0.5}}), {"partial_rotary_factor is 0.5", "it turns 3", "even"});
  }
  json both = good_fields();
  both["rope_scaling"] = rotation_of("linear", {{"factor", 2}});
  both["rope_parameters"] = rotation_of("linear", {{"factor", 2}});
  CHECK(read(both.dump()).rotation.factor == 2);
  both["rope_parameters"]["factor"] = 3;
  refused(both.dump(), {"rope_parameters is", "another rotation", "keep one"});
  for (json const& share : {json(0), json(1.5), json(-1), json(0.5), json("half")})
    refused(with("partial_rotary_factor", share), {"partial_rotary_factor is"});
  refused(with("rope_theta", 0), {"rope_theta is 0", "positive"});
  refused(with("rope_theta", -1.5), {"rope_theta is -1.5", "positive"});
  refused(with("rope_theta", 1e300), {"rope_theta", "1e30"});
  std::string const text = with("rope_theta", 7.5);
  for (char const* number : {"NaN", "Infinity", "-Infinity", "1e999"})
    refused(std::string(text).replace(text.find("7.5"), 3, number), {"JSON"});
}

json fields_of(char const* model_type, char const* architecture) {
  json fields = good_fields();
  fields["model_type"] = model_type;
  fields["architectures"] = {architecture};
  return fields;
}

TEST_CASE("config.json: what Mistral, Qwen2 and Qwen3 add to Llama") {
  json mistral = fields_of("mistral", "MistralForCausalLM");
  mistral["sliding_window"] = nullptr;
  config c = read(mistral.dump());
  CHECK_FALSE(c.input_bias);
  CHECK_FALSE(c.head_norms);
  for (std::uint32_t enough : {64u, 4096u}) {
    mistral["sliding_window"] = enough;
    CHECK(read(mistral.dump()).max_positions == 64);
  }
  mistral["sliding_window"] = 63;
  refused(mistral.dump(), {"sliding_window is 63", "the last 63 of 64 positions", "null"});
  mistral["sliding_window"] = 64;
  mistral["rope_scaling"] = rotation_of("yarn", {{"factor", 2}});
  refused(mistral.dump(), {"sliding_window is 64", "the last 64 of 128 positions"});
  mistral.erase("rope_scaling");
  mistral["sliding_window"] = "all";
  refused(mistral.dump(), {"sliding_window is \"all\"", "whole number"});
  mistral.erase("sliding_window");
  CHECK(read(mistral.dump()).max_positions == 64);
  mistral["max_position_embeddings"] = 32768;
  refused(mistral.dump(), {"sliding_window is missing", "the last 4096 of 32768 positions", "null"});

  json qwen2 = fields_of("qwen2", "Qwen2ForCausalLM");
  qwen2["use_sliding_window"] = false;
  qwen2["sliding_window"] = 16;
  qwen2["max_window_layers"] = 1;
  qwen2["layer_types"] = {"full_attention", "full_attention"};
  c = read(qwen2.dump());
  CHECK(c.input_bias);
  CHECK_FALSE(c.output_bias);
  CHECK_FALSE(c.feed_bias);
  qwen2["layer_types"][1] = "sliding_attention";
  refused(qwen2.dump(), {"layer_types", "sliding_attention", "only [\"full_attention\""});
  qwen2["use_sliding_window"] = true;
  refused(qwen2.dump(), {"use_sliding_window is true", "only false"});
  qwen2["attention_bias"] = false;
  refused(qwen2.dump(), {"attention_bias is false", "only true"});

  json qwen3 = fields_of("qwen3", "Qwen3ForCausalLM");
  qwen3["attention_bias"] = false;
  c = read(qwen3.dump());
  CHECK(c.head_norms);
  CHECK(c.head_dim == 6);
  CHECK_FALSE(c.input_bias);
  qwen3["attention_bias"] = true;
  qwen3.erase("head_dim");
  c = read(qwen3.dump());
  CHECK(c.head_dim == 128);
  CHECK((c.input_bias && c.output_bias));

  json llama = good_fields();
  llama["attention_bias"] = llama["mlp_bias"] = true;
  c = read(llama.dump());
  CHECK((c.input_bias && c.output_bias && c.feed_bias));
  CHECK(c.rotation.theta == 10000);
}

TEST_CASE("config.json: GPT-2's fields and their defaults") {
  json fields = json::parse(tiny::config_json(tiny::make_gpt2_config({2, 12, 4, 4, 3, 10, 40})));
  config c = read(fields.dump());
  CHECK(c.learned_positions);
  CHECK(c.rotation.theta == 0);
  CHECK(c.norm == reference_model::normalisation::layer);
  CHECK(c.between == reference_model::activation::gelu);
  CHECK((c.input_bias && c.output_bias && c.feed_bias));
  CHECK(c.dim == 12);
  CHECK(c.layers == 2);
  CHECK(c.heads == 4);
  CHECK(c.kv_heads == 4);
  CHECK(c.head_dim == 3);  // nothing turns: it may be odd
  CHECK(c.hidden == 10);
  CHECK(c.max_positions == 64);
  CHECK_FALSE(c.tied);
  CHECK(c.ends == std::vector<std::uint32_t>{2});

  for (char const* field : {"n_inner", "layer_norm_epsilon", "tie_word_embeddings", "activation_function"})
    fields[field] = nullptr;
  for (char const* field : {"bos_token_id", "eos_token_id"}) fields.erase(field);
  fields["vocab_size"] = 50257;
  c = read(fields.dump());
  CHECK(c.hidden == 48);
  CHECK(c.norm_eps == 1e-5);
  CHECK(c.tied);
  CHECK(c.bos == 50256);
  CHECK(c.ends == std::vector<std::uint32_t>{50256});
  fields["vocab_size"] = 50256;
  refused(fields.dump(), {"BOS token is 50256", "vocab_size"});
  fields["vocab_size"] = 50257;

  json const good = fields;
  auto const refuse = [&](char const* field, json const& value, std::initializer_list<char const*> words) {
    json changed = good;
    changed[field] = value;
    refused(changed.dump(), words);
  };
  fields["activation_function"] = "gelu_pytorch_tanh";
  CHECK(read(fields.dump()).hidden == 48);
  for (char const* other : {"gelu", "relu", "silu"}) refuse("activation_function", other, {other, "only \"gelu_new\""});
  refuse("scale_attn_weights", false, {"scale_attn_weights is false"});
  refuse("scale_attn_by_inverse_layer_idx", true, {"scale_attn_by_inverse_layer_idx is true"});
  refuse("add_cross_attention", true, {"add_cross_attention is true"});
  refuse("architectures", {"GPT2Model"}, {"architectures", "of gpt2", "GPT2LMHeadModel"});
  refuse("n_head", 5, {"n_head is 5", "divide n_embd, 12"});
  refuse("layer_norm_epsilon", 0, {"layer_norm_epsilon is 0"});
  for (char const* field : {"n_embd", "n_layer", "n_head", "vocab_size", "n_positions"}) {
    refuse(field, nullptr, {field, "is missing"});
    refuse(field, 0, {field, "is 0"});
    refuse(field, -3, {field, "is -3", "whole number"});
    refuse(field, 2147483647, {field, "2147483647"});
  }
  refuse("n_inner", 2147483647, {"n_inner is 2147483647"});
}

TEST_CASE("config.json: MPT's fields") {
  json const good = json::parse(R"({"model_type": "mpt", "d_model": 24, "n_heads": 3, "n_layers": 2, "vocab_size": 40, "max_seq_len": 32, "no_bias": true,
                                    "attn_config": {"alibi": true, "alibi_bias_max": 8, "clip_qkv": null}})");
  config const c = read(good.dump());
  CHECK(c.bias.steepness == 8);
  CHECK(c.rotation.theta == 0);
  CHECK_FALSE(c.learned_positions);
  CHECK(c.norm == reference_model::normalisation::layer);
  CHECK(c.between == reference_model::activation::exact_gelu);
  CHECK(c.hidden == 96);
  CHECK(c.head_dim == 8);
  CHECK(c.tied);
  auto const refuse = [&](char const* field, json const& value, std::initializer_list<char const*> words) {
    json changed = good;
    changed[field] = value;
    refused(changed.dump(), words);
  };
  refuse("n_heads", 5, {"n_heads is 5", "divide d_model, 24"});
  refuse("d_model", 2147483646, {"d_model is 2147483646"});
  refuse("no_bias", false, {"no_bias is false"});
  refuse("logit_scale", 0.5, {"logit_scale is 0.5"});
  refuse("expansion_ratio", 2, {"expansion_ratio is 2"});
  refuse("attn_config", 3, {"attn_config is 3"});
  refuse("attn_config", {{"alibi", false}}, {"alibi is false"});
  refuse("attn_config", {{"clip_qkv", 6}}, {"clip_qkv is 6"});
  refuse("attn_config", {{"attn_type", "multiquery_attention"}}, {"attn_type is \"multiquery_attention\""});
  refuse("attn_config", {{"alibi_bias_max", 4}}, {"alibi_bias_max is 4"});
  for (char const* field : {"d_model", "n_layers", "n_heads", "vocab_size", "max_seq_len"}) refuse(field, nullptr, {field, "is missing"});
}

TEST_CASE("config.json: what would compute something else") {
  refused(with("model_type", "gemma"), {"model_type is \"gemma\"", "llama, mistral, qwen2, qwen3, gpt2, mpt", "another checkpoint"});
  refused(with("model_type", "mistral"), {"architectures is [\"LlamaForCausalLM\"]", "of mistral [\"MistralForCausalLM\"]"});
  refused(with("model_type", 3), {"model_type is 3"});
  refused(with("architectures", json::array({"LlamaForSequenceClassification"})),
          {"architectures", "LlamaForCausalLM"});
  refused(with("architectures", json::array()), {"architectures is []"});
  refused(with("hidden_act", "gelu"), {"hidden_act is \"gelu\"", "only \"silu\""});
  refused(with("attention_bias", "yes"), {"attention_bias is \"yes\"", "true or false"});
  refused(with("rope_interleaved", true), {"rope_interleaved is true", "only false"});
  refused(with("use_sliding_window", true), {"use_sliding_window is true", "only false"});
  refused(with("quantization_config", {{"quant_method", "gptq"}}), {"quantization_config", "F32, F16 or BF16"});
  json unnamed = good_fields();
  unnamed.erase("model_type");
  unnamed["architectures"] = {"FalconForCausalLM"};
  refused(unnamed.dump(), {"architectures is [\"FalconForCausalLM\"]", "another checkpoint"});
  unnamed["architectures"] = {"Qwen3ForCausalLM"};
  CHECK(read(unnamed.dump()).head_norms);
  unnamed.erase("architectures");
  refused(unnamed.dump(), {"model_type is missing", "llama"});
}

TEST_CASE("config.json: missing, of another kind, or out of range") {
  for (char const* field : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                            "vocab_size", "max_position_embeddings"}) {
    refused(without(field), {field, "is missing"});
    refused(with(field, nullptr), {field, "is missing"});
  }
  for (char const* field : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                            "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (json const& value :
         {json(-1), json(12.0), json("12"), json(true), json::array({12}), json(std::uint64_t{1} << 31)})
      refused(with(field, value), {field, value.dump().c_str(), "whole number"});
    refused(with(field, 0), {field, "is 0"});
    refused(with(field, 2147483647), {field, "2147483647"});
  }
  refused(with("num_key_value_heads", 3), {"num_key_value_heads is 3", "divide", "4"});
  refused(with("head_dim", 5), {"head_dim is 5", "even"});
  json undivided = good_fields();
  undivided.erase("head_dim");
  undivided["num_attention_heads"] = 5;
  refused(undivided.dump(), {"num_attention_heads is 5", "divide hidden_size, 12", "head_dim"});
  refused(with("rms_norm_eps", 0), {"rms_norm_eps is 0"});
  refused(with("rms_norm_eps", "small"), {"rms_norm_eps is \"small\"", "number"});
  refused(with("tie_word_embeddings", 1), {"tie_word_embeddings is 1", "true or false"});
  refused(with("bos_token_id", 40), {"BOS token is 40", "below vocab_size, 40"});
  refused(with("bos_token_id", -1), {"bos_token_id is -1"});
  for (json const& value : {json(40), json(-1), json("</s>"), json::array({2, 40}), json::array({json::array()})})
    refused(with("eos_token_id", value), {"eos_token_id", "below vocab_size, 40"});
}

TEST_CASE("config.json: text that is no such object") {
  refused("", {"JSON"});
  refused("[]", {"not an object"});
  refused("{\"a\":\"x\ny\"}", {"JSON at byte 8"});
  refused("{\"hidden_size\":12,\"hidden_size\":13}", {"'hidden_size'", "twice"});
  refused("{\"a\x01\x7f\":1}", {"JSON"});
  refused(with("model_type", std::string("ä").append(1000, 'x')), {"model_type", "..."});
  std::string const good = tiny::config_json(tiny::make_config({2, 12, 4, 2, 6, 10, 40}));
  for (std::size_t size = 0; size < good.size(); ++size) refused(good.substr(0, size), {"JSON"});
  std::string deep = "{\"eos_token_id\":";
  deep.append(500000, '[').append(500000, ']').append(",").append(good, 1);
  refused(deep, {"deeper than 32"});
}

TEST_CASE("config.json: damaged text gives a configuration or one clear line, nothing else") {
  std::string const good = tiny::config_json(tiny::make_config({2, 12, 4, 2, 6, 10, 40}), ",\"eos_token_id\":[2,3]");
  std::string const letters = "{}[]\",:0123456789-.eE\\utrfalsn";
  support::for_each_seed(3000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string text = good;
    for (std::uint64_t i = random() % 3 + 1; i > 0; --i)
      text[random() % text.size()] = letters[random() % letters.size()];
    if (std::string const line = complaint_of([&] { read(text); }); !line.empty())
      CHECK(line.rfind("config.json: ", 0) == 0);
  });
}

}  // namespace
