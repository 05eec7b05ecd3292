#pragma once
// A small untrained model that is there without any download: random weights, a vocabulary of bytes.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <reference_model/io/write_safetensors.hpp>

#include "process.hpp"

/// 2 layers, 4 query heads over 2 KV heads, 64 positions, bytes and BOS 256, EOS 257.
class tiny_model {
 public:
  static constexpr std::uint32_t layers = 2, kv_heads = 2, positions = 64;

  tiny_model() {
    std::ofstream(folder_ / "config.json")
        << R"({"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,)"
        << R"( "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 258, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,)"
        << R"( "rope_theta": 10000.0, "tie_word_embeddings": true, "bos_token_id": 256, "eos_token_id": 257})";
    std::mt19937_64 draw(5);
    std::vector<std::vector<float>> data;
    std::vector<reference_model::tensor_to_write> tensors;
    data.reserve(32);
    auto const add = [&](std::string const& name, std::vector<std::uint64_t> const& shape) {
      std::uint64_t n = 1;
      for (std::uint64_t s : shape) n *= s;
      std::vector<float>& x = data.emplace_back(n);
      double const scale = shape.size() == 1 ? 0 : 3 / std::sqrt(static_cast<double>(shape.back()));
      for (float& v : x) v = static_cast<float>((static_cast<double>(draw() >> 11) * 0x1p-52 - 1) * scale + (shape.size() == 1 ? 1 : 0));
      tensors.push_back({name, shape, x.data()});
    };
    add("model.embed_tokens.weight", {258, 16});
    for (std::uint32_t l = 0; l < layers; ++l) {
      std::string const layer = "model.layers." + std::to_string(l) + ".";
      add(layer + "input_layernorm.weight", {16});
      add(layer + "self_attn.q_proj.weight", {32, 16});
      add(layer + "self_attn.k_proj.weight", {16, 16});
      add(layer + "self_attn.v_proj.weight", {16, 16});
      add(layer + "self_attn.o_proj.weight", {16, 32});
      add(layer + "post_attention_layernorm.weight", {16});
      add(layer + "mlp.gate_proj.weight", {32, 16});
      add(layer + "mlp.up_proj.weight", {32, 16});
      add(layer + "mlp.down_proj.weight", {16, 32});
    }
    add("model.norm.weight", {16});
    reference_model::write_safetensors(folder_ / "model.safetensors", tensors);
  }
  std::string path() const { return folder_.string(); }

 private:
  temporary_folder folder_;
};
