#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <kvsift/position/learned_align.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/model/config.hpp>

namespace reference_model {

/// KV-Align's two networks for one model.
struct align_networks {
  kvsift::align_network keys, values;
};

/// One network: emb_pos.weight [positions, *], emb_blocks.weight [layers, *], emb_heads.weight [KV heads, *], and fc1, fc2, fc3
/// with .weight [out, in] and .bias. The file's metadata may say
/// which `trained_positions` its table has, as "0..250" or "251"; where it does not, the last five rows were not trained: the original
/// was trained on windows as long as its table, less four sinks and the token that goes.
/// Throws bad_file.
inline kvsift::align_network load_align_network(std::filesystem::path const& path, config const& c) {
  safetensors_reader file(path);
  auto const take = [&](char const* tensor, std::size_t dimensions) {
    auto const found = file.tensors().find(tensor);
    if (found == file.tensors().end()) throw bad_file(path.string(), std::string("tensor '") + tensor + "' is missing; is it a network of KV-Align?");
    if (found->second.shape.size() != dimensions)
      throw bad_file(path.string(), std::string("tensor '") + tensor + "' has shape " + shown(found->second.shape) + "; " +
                                        std::to_string(dimensions) + " dimensions are expected");
    std::vector<float> x(found->second.elements);
    file.read(tensor, found->second.shape, x.data());
    return x;
  };
  std::vector<float> const of_position = take("emb_pos.weight", 2), of_layer = take("emb_blocks.weight", 2), of_head = take("emb_heads.weight", 2),
                           w1 = take("fc1.weight", 2), b1 = take("fc1.bias", 1), w2 = take("fc2.weight", 2), b2 = take("fc2.bias", 1),
                           w3 = take("fc3.weight", 2), b3 = take("fc3.bias", 1);
  for (auto const& [name, entry] : file.tensors())
    if (!name.starts_with("emb_") && !name.starts_with("fc"))
      throw bad_file(path.string(), "tensor '" + name + "' has no place in a network of KV-Align; convert the file again");
  auto const rows = [&](char const* tensor) { return file.tensors().at(tensor).shape[0]; };
  auto const fits = [&](char const* tensor, std::uint64_t expected, char const* what) {
    if (rows(tensor) != expected)
      throw bad_file(path.string(), std::string("tensor '") + tensor + "' has " + std::to_string(rows(tensor)) + " rows; the model has " +
                                        std::to_string(expected) + " " + what + "; the networks are another model's");
  };
  fits("emb_blocks.weight", c.layers, "layers");
  fits("emb_heads.weight", c.kv_heads, "KV heads");
  std::uint64_t trained = rows("emb_pos.weight") > 5 ? rows("emb_pos.weight") - 5 : 0;
  if (auto const stated = file.metadata().find("trained_positions"); stated != file.metadata().end()) {
    bool const range = stated->second.starts_with("0..");  // the last one is meant
    std::string const digits = stated->second.substr(range ? 3 : 0);
    bool const whole = !digits.empty() && digits.size() <= 9 && digits.find_first_not_of("0123456789") == std::string::npos;
    trained = whole ? std::stoull(digits) + (range ? 1 : 0) : 0;
  }
  if (trained == 0 || trained > rows("emb_pos.weight"))
    throw bad_file(path.string(), "trained_positions is " + std::to_string(trained) + "; 1 to the rows of emb_pos.weight, " +
                                      std::to_string(rows("emb_pos.weight")) + ", is possible");
  auto const view = [](std::vector<float> const& x) { return kvsift::span<float const>{x.data(), x.size()}; };
  try {
    return kvsift::align_network({view(of_position), view(of_layer), view(of_head), view(w1), view(b1), view(w2), view(b2), view(w3), view(b3)},
                                 c.head_dim, c.layers, c.kv_heads, static_cast<std::uint32_t>(trained));
  } catch (kvsift::bad_argument const& error) {
    throw bad_file(path.string(), error.what());
  }
}

/// keys_network.safetensors and values_network.safetensors of a folder. Throws bad_file.
inline align_networks load_align_networks(std::filesystem::path const& folder, config const& c) {
  return {load_align_network(folder / "keys_network.safetensors", c), load_align_network(folder / "values_network.safetensors", c)};
}

}  // namespace reference_model
