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

TEST_CASE("config.json: rotations without scaling are read in both spellings, all others refused") {
  CHECK(read(with("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 300.0}})).rotation.theta == 300);
  CHECK(read(with("rope_scaling", {{"type", "default"}})).rotation.theta == 10000);
  CHECK(read(with("rope_scaling", nullptr)).rotation.theta == 10000);
  for (char const* type : {"linear", "dynamic", "yarn", "longrope", "llama3"}) {
    refused(with("rope_scaling", {{"rope_type", type}, {"factor", 8.0}}), {"rope_type", type, "only \"default\""});
    refused(with("rope_scaling", {{"type", type}, {"factor", 8.0}}), {"type", type, "only \"default\""});
    refused(with("rope_parameters", {{"rope_type", type}, {"factor", 8.0}}), {"rope_type", type});
  }
  refused(with("rope_scaling", {{"factor", 8.0}}), {"rope_scaling", "'factor' is not implemented"});
  refused(with("rope_scaling", "linear"), {"rope_scaling is \"linear\"", "object"});
  refused(with("rope_parameters", {{"rope_theta", "x"}}), {"rope_theta is \"x\"", "number"});
  refused(with("partial_rotary_factor", 0.5), {"partial_rotary_factor is 0.5", "only 1.0"});
  refused(with("rope_theta", 0), {"rope_theta is 0", "positive"});
  refused(with("rope_theta", -1.5), {"rope_theta is -1.5", "positive"});
  refused(with("rope_theta", 1e300), {"rope_theta", "1e30"});
}

TEST_CASE("config.json: what would compute something else") {
  refused(with("model_type", "mistral"), {"model_type is \"mistral\"", "only \"llama\"", "another checkpoint"});
  refused(with("model_type", 3), {"model_type is 3"});
  refused(with("architectures", json::array({"LlamaForSequenceClassification"})),
          {"architectures", "LlamaForCausalLM"});
  refused(with("architectures", json::array()), {"architectures is []"});
  refused(with("hidden_act", "gelu"), {"hidden_act is \"gelu\"", "only \"silu\""});
  refused(with("attention_bias", true), {"attention_bias is true", "only false"});
  refused(with("mlp_bias", true), {"mlp_bias is true", "only false"});
  json unnamed = good_fields();
  unnamed.erase("model_type");
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
