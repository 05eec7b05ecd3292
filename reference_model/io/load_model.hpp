#pragma once

#include <filesystem>
#include <new>
#include <string>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/hugging_face.hpp>
#include <reference_model/io/llama2c.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

namespace detail {

inline model load_any_model(std::filesystem::path const& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    if (!fs::exists(path / "config.json", ignored))
      throw bad_file(path.string(), "has no config.json; a model folder holds config.json and model.safetensors");
    fs::path const one = path / "model.safetensors", index = path / "model.safetensors.index.json";
    if (fs::exists(one, ignored)) return load_hugging_face(path / "config.json", one);
    if (fs::exists(index, ignored)) return load_hugging_face(path / "config.json", index);
    throw bad_file(path.string(), "has neither model.safetensors nor model.safetensors.index.json; download the weights");
  }
  if (path.extension() == ".safetensors") {
    file_source const exists(path);  // the missing file is named, not its config.json
    fs::path const beside = path.parent_path() / "config.json";
    if (!fs::exists(beside, ignored)) throw bad_file(path.string(), "has no config.json beside it; put the model's there");
    return load_hugging_face(beside, path);
  }
  return load_llama2c(path);
}

}  // namespace detail

/// Loads what it finds at `path`:
///   a folder                config.json with model.safetensors, or with model.safetensors.index.json and its shards
///   a .safetensors file     with the config.json beside it
///   any other file          a llama2.c checkpoint
/// Throws bad_file.
inline model load_model(std::filesystem::path const& path) {
  try {
    return detail::load_any_model(path);
  } catch (std::bad_alloc const&) {
    throw bad_file(path.string(), "does not fit into memory; weights are held as four bytes a number; use a smaller model");
  }
}

}  // namespace reference_model
