#pragma once
// A GPT-2 whose weights a formula gives, read from a file in Hugging Face's layout.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <reference_model/io/load_model.hpp>

#include <support/safetensors_lite.hpp>

#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace formula {

using namespace reference_model;

/// s <- 1664525 s + 1013904223 before each use.
struct numbers {
  std::uint32_t s;
  float next(double reach) {
    s = 1664525u * s + 1013904223u;
    return static_cast<float>((static_cast<double>(s >> 8) / 16777216.0 - 0.5) * 2 * reach);
  }
};

/// Tensors as they are drawn: row-major, one after another from one stream; norms have gain 1 and bias 0.
inline std::map<std::string, support::tensor> tensors() {
  std::map<std::string, support::tensor> all;
  numbers stream{1};
  auto const draw = [&](std::string const& name, std::vector<std::size_t> const& shape, double reach) {
    std::size_t count = 1;
    for (std::size_t n : shape) count *= n;
    support::tensor& t = all[name] = {shape, std::vector<float>(count)};
    for (float& x : t.numbers) x = stream.next(reach);
  };
  auto const norm = [&](std::string const& name) {
    all[name + ".weight"] = {{128}, std::vector<float>(128, 1.0f)};
    all[name + ".bias"] = {{128}, std::vector<float>(128, 0.0f)};
  };
  draw("wte.weight", {40, 128}, 0.5);
  draw("wpe.weight", {64, 128}, 0.5);
  for (std::string const layer : {"h.0.", "h.1."}) {
    norm(layer + "ln_1");
    norm(layer + "ln_2");
    draw(layer + "attn.c_attn.weight", {128, 384}, 0.15);
    draw(layer + "attn.c_attn.bias", {384}, 0.05);
    for (char const* product : {"attn.c_proj", "mlp.c_fc", "mlp.c_proj"}) {
      draw(layer + product + ".weight", {128, 128}, 0.15);
      draw(layer + product + ".bias", {128}, 0.05);
    }
  }
  norm("ln_f");
  return all;
}

inline model make_model() {
  config c = tiny::make_gpt2_config({2, 128, 2, 2, 64, 128, 40, true});
  temporary_folder folder;
  folder.write("config.json", tiny::config_json(c));
  folder.write("model.safetensors", support::to_safetensors(tensors()));
  return load_model(folder.path());
}

}  // namespace formula
