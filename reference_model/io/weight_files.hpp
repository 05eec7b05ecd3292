#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/model/floats.hpp>

namespace reference_model {

/// The safetensors files of a model: one, or several that an index joins. Finds a tensor by name. Throws bad_file.
class weight_files {
 public:
  explicit weight_files(file_source file) : name_(file.name()) {
    safetensors_reader& only =
        *files_.emplace(name_, std::make_unique<safetensors_reader>(std::move(file))).first->second;
    for (auto const& [tensor, unused] : only.tensors()) where_.emplace(tensor, &only);
  }

  /// The files beside a model.safetensors.index.json that it names, and no others.
  static weight_files of_index(std::filesystem::path const& index) { return weight_files(index); }

  /// The tensor as finite floats of this shape. Forgets it, see refuse_rest.
  floats take(std::string const& tensor, std::vector<std::uint64_t> const& shape) {
    auto const found = where_.find(tensor);
    if (found == where_.end()) throw bad_file(name_, "tensor '" + tensor + "' is missing; export the model again");
    safetensors_reader& reader = *found->second;
    floats out(reader.expect(tensor, shape).elements);  // checked against the file before memory is taken
    reader.read(tensor, shape, out.data());
    where_.erase(found);
    return out;
  }
  bool holds(std::string const& tensor) const { return where_.contains(tensor); }
  void forget(std::string const& tensor) { where_.erase(tensor); }

  /// Throws if a tensor was never taken: the model would compute something else than was trained.
  void refuse_rest() const {
    for (auto const& [tensor, reader] : where_)
      if (!tensor.ends_with(".rotary_emb.inv_freq"))
        throw bad_file(reader->name(),
                       "tensor '" + tensor + "' has no place in a model of this config.json; use another checkpoint");
  }

 private:
  explicit weight_files(std::filesystem::path const& index) : name_(index.string()) {
    json const joined = parse_object(name_, read_text(index));
    if (!joined.contains("weight_map") || !joined["weight_map"].is_object())
      throw bad_file(name_, "weight_map is missing or no object; it names the file of each tensor; fetch it again");
    for (auto const& [tensor, file] : joined["weight_map"].items()) {
      std::filesystem::path const shard = file.is_string() ? file.get<std::string>() : std::string();
      if (shard.empty() || shard != shard.filename() || shard == "." || shard == "..")
        throw bad_file(
            name_, "weight_map of '" + tensor + "' is " + shown(file) + "; the name of a file beside it is expected");
      std::unique_ptr<safetensors_reader>& reader = files_[shard.string()];
      if (reader == nullptr) reader = std::make_unique<safetensors_reader>(index.parent_path() / shard);
      if (!reader->tensors().contains(tensor))
        throw bad_file(name_, "weight_map promises '" + tensor + "' in " + shard.string() +
                                  "; it is not there; the files do not belong together");
      where_.emplace(tensor, reader.get());
    }
    for (auto const& [unused, reader] : files_)
      for (auto const& [tensor, entry] : reader->tensors())
        if (!where_.contains(tensor) || where_.at(tensor) != reader.get())
          throw bad_file(reader->name(),
                         "tensor '" + tensor + "' is not of this file by the index; the files do not belong together");
  }

  std::string name_;  // of the file that a missing tensor is missed in
  std::map<std::string, std::unique_ptr<safetensors_reader>> files_;
  std::map<std::string, safetensors_reader*> where_;
};

}  // namespace reference_model
