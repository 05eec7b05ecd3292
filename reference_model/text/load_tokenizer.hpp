#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <reference_model/model/config.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// The tokenizer of a model. `name` is
///   "bytes"               every byte is its token
///   a folder              its tokenizer.json, else its vocab.json and merges.txt, else its tokenizer.bin
///   vocab.json            with the merges.txt beside it, or the other way round
///   any other .json file  Hugging Face's tokenizer.json
///   any other file        a llama2.c tokenizer.bin
/// Without a name it is what the model's folder holds, else bytes. `model_path` is what load_model was given. Throws
/// bad_file.
std::unique_ptr<tokenizer> load_tokenizer(std::string const& name, std::filesystem::path const& model_path,
                                          config const& c);

}  // namespace reference_model
