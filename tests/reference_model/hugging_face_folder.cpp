// Folders in Hugging Face's layout: families, types of weights, tied and untied, in one file and in shards; and what is
// refused.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/core/half.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/io/write_safetensors.hpp>

#include <support/safetensors_lite.hpp>

#include "expect_bad_file.hpp"
#include "same_model.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace {

using namespace reference_model;
using tensor_map = std::map<std::string, support::tensor>;

model small_model(bool tied = false) {
  return tiny::make_model(tiny::make_config({2, 12, 4, 2, 6, 10, 11, tied, kvsift::pairing::half_split}), 7);
}

model small_gpt2(bool tied = true) {
  return tiny::make_model(tiny::make_gpt2_config({2, 12, 4, 4, 3, 10, 11, tied}), 7);
}

/// One of each layout: Llama with and without biases, Qwen2, Qwen3, GPT-2 tied and untied.
std::vector<model> one_of_each() {
  tiny::sizes const sizes{2, 12, 4, 2, 6, 10, 11};
  config biased = tiny::make_config(sizes), qwen2 = biased, qwen3 = biased;
  biased.input_bias = biased.output_bias = biased.feed_bias = true;
  qwen2.input_bias = true;
  qwen3.head_norms = true;
  std::vector<model> all;
  all.push_back(small_model());
  all.push_back(small_model(true));
  for (config const& c : {biased, qwen2, qwen3}) all.push_back(tiny::make_model(c, 8));
  all.push_back(small_gpt2());
  all.push_back(small_gpt2(false));
  return all;
}

/// A folder that holds this model.
class model_folder : public temporary_folder {
 public:
  explicit model_folder(model const& m) {
    write("config.json", tiny::config_json(m.config));
    write("model.safetensors", support::to_safetensors(tiny::tensors(m)));
  }
  std::string weights() const { return (*this / "model.safetensors").string(); }
};

/// The same folder in two shards: even and odd tensors, joined by an index.
class sharded_folder : public temporary_folder {
 public:
  explicit sharded_folder(model const& m) {
    write("config.json", tiny::config_json(m.config));
    for (auto const& [name, tensor] : tiny::tensors(m)) {
      std::size_t const shard = index["weight_map"].size() % 2;
      shards[shard][name] = tensor;
      index["weight_map"][name] = names[shard];
    }
    index["metadata"] = {{"total_size", 1}};
    for (std::size_t i : {0u, 1u}) write(names[i], support::to_safetensors(shards[i]));
    write_index();
  }
  void write_index() const { write(index_name, index.dump()); }

  static constexpr char const* index_name = "model.safetensors.index.json";
  std::vector<std::string> const names{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  nlohmann::json index;
  tensor_map shards[2];
};

TEST_CASE("a folder, its weights file, and shards give the model that was written") {
  for (model const& m : one_of_each()) {
    model_folder const folder(m);
    CHECK(difference(load_model(folder.path()), m) == "");
    CHECK(difference(load_model(folder.weights()), m) == "");
    CHECK(difference(load_model(sharded_folder(m).path()), m) == "");
  }
}

TEST_CASE("a Mistral is a Llama of another name") {
  model const m = small_model();
  model_folder const folder(m);
  std::string text = tiny::config_json(m.config, ",\"sliding_window\":null");
  text.replace(text.find("LlamaFor"), 8, "MistralFor");
  text.replace(text.find("\"llama\""), 7, "\"mistral\"");
  folder.write("config.json", text);
  CHECK(difference(load_model(folder.path()), m) == "");
}

TEST_CASE("half-precision weights are widened, every number once") {
  for (model const& m : one_of_each())
    for (element_type stored : {element_type::f16, element_type::bf16}) {
      temporary_folder folder;
      folder.write("config.json", tiny::config_json(m.config));
      std::vector<tensor_to_write> all;
      std::map<std::string, support::tensor> const tensors = tiny::tensors(m);
      for (auto const& [name, tensor] : tensors)
        all.push_back({name, {tensor.shape.begin(), tensor.shape.end()}, tensor.numbers.data(), stored});
      write_safetensors(folder / "model.safetensors", all);
      model const loaded = load_model(folder.path());
      auto const rounded = [&](float x) {
        kvsift::fp16 half;
        kvsift::bf16 brain;
        kvsift::from_float(x, half);
        kvsift::from_float(x, brain);
        return stored == element_type::f16 ? kvsift::to_float(half) : kvsift::to_float(brain);
      };
      std::size_t wrong = 0, numbers = 0;
      std::map<std::string, support::tensor> const back = tiny::tensors(loaded);
      for (auto const& [name, tensor] : tensors)
        for (std::size_t i = 0; i < tensor.numbers.size(); ++i, ++numbers)
          wrong += back.at(name).numbers.at(i) != rounded(tensor.numbers[i]);
      CHECK(wrong == 0);
      CHECK(numbers > 1000);
    }
}

TEST_CASE("GPT-2: names with and without a front, causal masks of old exports, the unembedding written twice") {
  model const m = small_gpt2();
  for (std::string const front : {"", "transformer."}) {
    tensor_map all;
    tiny::for_each_gpt2_tensor(m, front, [&](std::string const& name, std::vector<std::uint64_t> const& shape, floats const& f) {
      all[name] = {{shape.begin(), shape.end()}, {f.data(), f.data() + f.size()}};
    });
    for (char const* layer : {"h.0.attn.", "h.1.attn."}) {
      all[front + layer + "bias"] = {{1, 1, 2, 2}, {1, 0, 1, 1}};
      all[front + layer + "masked_bias"] = {{}, {-1e4f}};
    }
    all["lm_head.weight"] = all[front + "wte.weight"];
    model_folder const folder(m);
    folder.write("model.safetensors", support::to_safetensors(all));
    CHECK(difference(load_model(folder.path()), m) == "");
    all[front + "h.2.attn.bias"] = {{1}, {0}};
    folder.write("model.safetensors", support::to_safetensors(all));
    expect_bad_file(folder.weights(), {"h.2.attn.bias", "no place"}, [&] { load_model(folder.path()); });
  }
}

TEST_CASE("tensors that exporters add are left out: rotation tables, and the tied unembedding") {
  model const m = small_model(true);
  tensor_map all = tiny::tensors(m);
  all["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{3}, {1, 2, 3}};
  all["lm_head.weight"] = all["model.embed_tokens.weight"];
  model_folder const folder(m);
  folder.write("model.safetensors", support::to_safetensors(all));
  CHECK(difference(load_model(folder.path()), m) == "");
}

TEST_CASE("tensors that are missing, left over, of another shape or not finite") {
  for (model const& m : one_of_each()) {
    model_folder const folder(m);
    auto const refused = [&](tensor_map const& all, std::initializer_list<char const*> words) {
      folder.write("model.safetensors", support::to_safetensors(all));
      expect_bad_file(folder.weights(), words, [&] { load_model(folder.path()); });
    };
    for (auto const& [name, tensor] : tiny::tensors(m)) {
      tensor_map all = tiny::tensors(m);
      all.erase(name);
      refused(all, {name == "transformer.wte.weight" ? "wte.weight" : name.c_str(), "missing", "export"});
      all[name] = tensor;
      all[name].shape.push_back(1);
      refused(all, {name.c_str(), "shape", "configuration"});
      all[name] = tensor;
      for (float bad : {NAN, INFINITY}) {
        all[name].numbers.back() = bad;
        refused(all, {name.c_str(), "element", std::to_string(tensor.numbers.size() - 1).c_str(), "finite"});
      }
    }
    for (char const* extra : {"model.layers.2.input_layernorm.weight", "transformer.h.2.ln_1.weight", "score.weight"}) {
      tensor_map all = tiny::tensors(m);
      all[extra] = {{1}, {0}};
      refused(all, {extra, "no place", "another checkpoint"});
    }
  }
}

TEST_CASE("tensors that another family has, and matrices that lie the other way round") {
  auto const refused = [](model const& m, auto const& change, std::initializer_list<char const*> words) {
    model_folder const folder(m);
    tensor_map all = tiny::tensors(m);
    change(all);
    folder.write("model.safetensors", support::to_safetensors(all));
    expect_bad_file(folder.weights(), words, [&] { load_model(folder.path()); });
  };
  for (char const* extra : {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.down_proj.bias",
                            "model.layers.1.self_attn.k_norm.weight"})
    refused(small_model(), [&](tensor_map& all) { all[extra] = {{1}, {0}}; }, {extra, "no place"});
  refused(small_model(), [](tensor_map& all) {
    std::swap(all["model.layers.0.self_attn.q_proj.weight"], all["model.layers.0.self_attn.k_proj.weight"]);
  }, {"q_proj", "[12, 12]", "[24, 12]"});
  refused(small_gpt2(), [](tensor_map& all) {
    all["transformer.h.1.attn.c_attn.weight"].shape = {36, 12};
  }, {"c_attn", "[36, 12]", "[12, 36]"});
  refused(small_gpt2(), [](tensor_map& all) { all["transformer.wpe.weight"].shape = {32, 24}; },
          {"wpe", "[32, 24]", "[64, 12]"});
}

TEST_CASE("a configuration of another model asks for nothing that the file does not hold") {
  model const m = small_model();
  model_folder const folder(m);
  config huge = m.config;
  huge.dim = 1u << 17;
  huge.hidden = 1u << 20;
  huge.layers = huge.heads = huge.kv_heads = huge.head_dim = 4096;
  huge.vocab = 1u << 24;
  folder.write("config.json", tiny::config_json(huge));
  expect_bad_file(folder.weights(), {"embed_tokens", "[11, 12]", "[16777216, 131072]"},
                  [&] { load_model(folder.path()); });
}

TEST_CASE("weights of a type that is not read") {
  model_folder const folder(small_model());
  std::string header =
      "{\"model.embed_tokens.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[11,12],\"data_offsets\":[0,132]}}";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  folder.write("model.safetensors", bytes + header + std::string(132, '\0'));
  expect_bad_file(folder.weights(), {"embed_tokens", "F8_E4M3", "convert"}, [&] { load_model(folder.path()); });
}

TEST_CASE("files of a folder that are missing or damaged") {
  model const m = small_model();
  model_folder const folder(m);
  expect_bad_file((folder / "config.json").string(), {"JSON"}, [&] {
    folder.write("config.json", "{");
    load_model(folder.path());
  });
  expect_bad_file((folder / "config.json").string(), {"1048577 bytes", "at most 1048576"}, [&] {
    folder.write("config.json", std::string((1u << 20) + 1, ' '));
    load_model(folder.path());
  });
  std::filesystem::remove(folder / "config.json");
  expect_bad_file(folder.path().string(), {"no config.json"}, [&] { load_model(folder.path()); });
  expect_bad_file(folder.weights(), {"no config.json beside it"}, [&] { load_model(folder.weights()); });
  folder.write("config.json", tiny::config_json(m.config));
  std::filesystem::remove(folder.weights());
  expect_bad_file(folder.path().string(), {"neither model.safetensors nor"}, [&] { load_model(folder.path()); });
  std::filesystem::create_directory(folder.weights());
  expect_bad_file(folder.weights(), {"not a regular file"}, [&] { load_model(folder.path()); });
}

TEST_CASE("shards that are missing, lie elsewhere, or do not belong together") {
  model const m = small_model();
  char const* const tensor = "model.norm.weight";
  sharded_folder folder(m);
  std::string const index = (folder / folder.index_name).string(), shard = (folder / folder.names[0]).string();
  nlohmann::json const good = folder.index;
  auto const refused = [&](std::string const& file, std::initializer_list<char const*> words) {
    folder.write_index();
    expect_bad_file(file, words, [&] { load_model(folder.path()); });
    folder.index = good;
  };
  for (char const* elsewhere :
       {"../model-00001-of-00002.safetensors", "/etc/passwd", "..", ".", "", "a/b.safetensors", "x/"}) {
    folder.index["weight_map"][tensor] = elsewhere;
    refused(index, {tensor, elsewhere, "beside"});
  }
  folder.index["weight_map"][tensor] = 7;
  refused(index, {tensor, "7", "beside"});
  folder.index["weight_map"][tensor] = "config.json";
  refused((folder / "config.json").string(), {"header length"});
  folder.index["weight_map"][tensor] = "absent.safetensors";
  refused((folder / "absent.safetensors").string(), {"no such file"});
  folder.index["weight_map"][tensor] = folder.names[folder.index["weight_map"][tensor] == folder.names[0] ? 1 : 0];
  refused(index, {"promises", tensor, "belong together"});
  folder.index["weight_map"].erase(tensor);
  refused((folder / good["weight_map"][tensor].get<std::string>()).string(), {tensor, "by the index"});
  folder.index["weight_map"] = nlohmann::json::object();
  refused(index, {"embed_tokens", "missing"});
  folder.index["weight_map"] = {"a"};
  refused(index, {"weight_map", "object"});
  folder.index.erase("weight_map");
  refused(index, {"weight_map", "missing"});

  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  refused(shard, {"truncated"});
  std::filesystem::remove(shard);
  refused(shard, {"no such file"});
}

}  // namespace
