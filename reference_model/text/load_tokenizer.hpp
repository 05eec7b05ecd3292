#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <reference_model/model/config.hpp>
#include <reference_model/text/llama2c_tokenizer.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// The tokenizer of a model: "bytes", or a llama2.c tokenizer.bin. Without a name, the tokenizer.bin in the model's
/// folder if there is one, else bytes. `model_path` is what load_model was given. Throws bad_file.
inline std::unique_ptr<tokenizer> load_tokenizer(std::string const& name, std::filesystem::path const& model_path,
                                                 config const& c) {
  namespace fs = std::filesystem;
  if (name == "bytes") return std::make_unique<bytes_tokenizer>(c);
  if (!name.empty()) return std::make_unique<llama2c_tokenizer>(file_source(fs::path(name)), c);
  std::error_code ignored;
  fs::path const folder = fs::is_directory(model_path, ignored) ? model_path : model_path.parent_path();
  if (fs::exists(folder / "tokenizer.bin", ignored))
    return std::make_unique<llama2c_tokenizer>(file_source(folder / "tokenizer.bin"), c);
  if (c.vocab < 257 || c.bos < 256)
    throw bad_file(model_path.string(), "comes without tokenizer.bin, and its vocabulary of " + std::to_string(c.vocab) +
                                            " is not one of bytes; name its tokenizer with --tokenizer FILE");
  return std::make_unique<bytes_tokenizer>(c);
}

}  // namespace reference_model
