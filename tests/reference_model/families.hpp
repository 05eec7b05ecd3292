#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tiny_model.hpp"

namespace tiny {

struct family {
  std::string name;
  model weights{};
};

/// Every kind of block: rotation by halves and by pairs, of a part, that slows down; biases; norms of heads; both norms and all activations.
inline std::vector<family> families() {
  sizes const sizes{2, 48, 6, 2, 12, 70, 90};
  std::vector<family> all;
  auto const add = [&](std::string const& name, config const& c) { all.push_back({name, make_model(c, all.size() + 1)}); };
  config const llama = make_config(sizes);
  add("llama", llama);
  config c = llama;
  c.tied = true;
  c.rotation.pairs = kvsift::pairing::interleaved;
  add("llama2.c", c);
  c = llama;
  c.head_norms = true;
  c.rotation.rotary_dim = 8;
  add("qwen3, a part turning", c);
  c = llama;
  c.input_bias = c.output_bias = c.feed_bias = true;
  c.rotation.scaling = kvsift::rotary_scaling::dynamic_ntk;
  c.rotation.factor = 2;
  c.rotation.trained = 8;
  add("qwen2, slowing down", c);
  c = make_gpt2_config(sizes);
  c.tied = true;
  add("gpt2", c);
  c = llama;
  c.rotation.theta = 0;
  c.bias = {8};
  c.norm = reference_model::normalisation::layer;
  c.between = reference_model::activation::exact_gelu;
  add("mpt", c);
  all.push_back({"wide", make_model(make_config({1, 1100, 4, 2, 6, 2100, 40}), 9)});  // beyond what one block takes of a token
  return all;
}

}  // namespace tiny
