#pragma once
// A small untrained GPT-2, its positions learned: random weights, a vocabulary of bytes.

#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <reference_model/io/write_safetensors.hpp>

#include "process.hpp"

/// 2 layers, 2 heads of 4, 40 positions, bytes and BOS 256, EOS 257.
class tiny_gpt2 {
 public:
  tiny_gpt2() {
    std::ofstream(folder_ / "config.json")
        << R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_inner": 16, "n_positions": 40, "vocab_size": 258,)"
        << R"( "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "bos_token_id": 256, "eos_token_id": 257})";
    std::mt19937_64 draw(7);
    std::vector<std::vector<float>> data;
    std::vector<reference_model::tensor_to_write> tensors;
    data.reserve(64);
    auto const add = [&](std::string const& name, std::vector<std::uint64_t> const& shape, double scale, double middle = 0) {
      std::uint64_t n = 1;
      for (std::uint64_t s : shape) n *= s;
      std::vector<float>& x = data.emplace_back(n);
      for (float& v : x) v = static_cast<float>((static_cast<double>(draw() >> 11) * 0x1p-52 - 1) * scale + middle);
      tensors.push_back({name, shape, x.data()});
    };
    auto const norm = [&](std::string const& name) {
      add(name + ".weight", {8}, 0, 1);
      add(name + ".bias", {8}, 0.1);
    };
    auto const matrix = [&](std::string const& name, std::uint64_t in, std::uint64_t out) {
      add(name + ".weight", {in, out}, 0.5);
      add(name + ".bias", {out}, 0.1);
    };
    add("wte.weight", {258, 8}, 1);
    add("wpe.weight", {40, 8}, 1);
    for (std::string const layer : {"h.0.", "h.1."}) {
      norm(layer + "ln_1");
      norm(layer + "ln_2");
      matrix(layer + "attn.c_attn", 8, 24);
      matrix(layer + "attn.c_proj", 8, 8);
      matrix(layer + "mlp.c_fc", 8, 16);
      matrix(layer + "mlp.c_proj", 16, 8);
    }
    norm("ln_f");
    reference_model::write_safetensors(folder_ / "model.safetensors", tensors);
  }
  std::string path() const { return folder_.string(); }

 private:
  temporary_folder folder_;
};
