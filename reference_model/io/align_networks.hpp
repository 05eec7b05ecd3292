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
  std::uint32_t sinks = 4;  ///< that they were trained beside
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
    if (!whole) throw bad_file(path.string(), "trained_positions is '" + stated->second + "'; a number such as 251, or 0..250, is expected");
    trained = std::stoull(digits) + (range ? 1 : 0);
  }
  if (trained == 0 || trained > rows("emb_pos.weight"))
    throw bad_file(path.string(), "trained_positions is " + std::to_string(trained) + "; 1 to the rows of emb_pos.weight, " +
                                      std::to_string(rows("emb_pos.weight")) + ", is possible");
  auto const width = [&](char const* tensor) { return file.tensors().at(tensor).shape[1]; };
  if (std::uint64_t const inputs = c.head_dim + width("emb_pos.weight") + width("emb_blocks.weight") + width("emb_heads.weight"); width("fc1.weight") != inputs)
    throw bad_file(path.string(), "tensor 'fc1.weight' has " + std::to_string(width("fc1.weight")) + " columns; a vector and its three embeddings have " +
                                      std::to_string(inputs) + "; the networks are another model's, or the file is damaged");
  auto const view = [](std::vector<float> const& x) { return kvsift::span<float const>{x.data(), x.size()}; };
  try {
    return kvsift::align_network({view(of_position), view(of_layer), view(of_head), view(w1), view(b1), view(w2), view(b2), view(w3), view(b3)},
                                 c.head_dim, c.layers, c.kv_heads, static_cast<std::uint32_t>(trained));
  } catch (kvsift::bad_argument const& error) {
    throw bad_file(path.string(), error.what());
  }
}

/// The sinks that a network was trained beside, as its file says; the original's 4 where it says nothing. Throws bad_file.
inline std::uint32_t trained_sinks(std::filesystem::path const& path) {
  safetensors_reader const file(path);
  auto const stated = file.metadata().find("trained_start_size");
  if (stated == file.metadata().end()) return 4;
  std::string const& digits = stated->second;
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw bad_file(path.string(), "trained_start_size is '" + digits + "'; the number of sinks is expected");
  return static_cast<std::uint32_t>(std::stoul(digits));
}

/// keys_network.safetensors and values_network.safetensors of a folder. Throws bad_file.
inline align_networks load_align_networks(std::filesystem::path const& folder, config const& c) {
  std::filesystem::path const keys = folder / "keys_network.safetensors", values = folder / "values_network.safetensors";
  align_networks both{load_align_network(keys, c), load_align_network(values, c), trained_sinks(keys)};
  if (std::uint32_t const other = trained_sinks(values); other != both.sinks)
    throw bad_file(values.string(), "trained_start_size is " + std::to_string(other) + ", of the network for keys " + std::to_string(both.sinks) +
                                        "; the two do not belong together");
  return both;
}

}  // namespace reference_model
