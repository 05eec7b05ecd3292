#include <reference_model/text/load_tokenizer.hpp>

#include <string>
#include <system_error>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/text/bpe_tokenizer.hpp>
#include <reference_model/text/llama2c_tokenizer.hpp>
#include <reference_model/text/tokenizer_json.hpp>

namespace reference_model {

namespace {

// vocab.json with the merges.txt beside it. Neither says how text is split, so what is not GPT-2's is refused where the
// files beside them tell.
std::unique_ptr<tokenizer> load_byte_level_bpe(std::filesystem::path const& folder, config const& c) {
  namespace fs = std::filesystem;
  fs::path const vocab = folder / "vocab.json", merges = folder / "merges.txt",
                 about = folder / "tokenizer_config.json";
  std::error_code ignored;
  if (fs::exists(about, ignored)) {
    json const fields = parse_object(about.string(), read_text(about));
    if (fields.contains("tokenizer_class") && fields["tokenizer_class"] != "GPT2Tokenizer" &&
        fields["tokenizer_class"] != "GPT2TokenizerFast")
      throw bad_file(about.string(), "tokenizer_class is " + shown(fields["tokenizer_class"]) +
                                         "; vocab.json and merges.txt alone are read as GPT2Tokenizer; put the model's "
                                         "tokenizer.json beside them");
  }
  if (fs::path const added = folder / "added_tokens.json"; fs::exists(added, ignored))
    throw bad_file(added.string(),
                   "adds tokens to vocab.json; only tokenizer.json says how; put the model's beside it");
  return std::make_unique<bpe_tokenizer>(read_byte_level_bpe(vocab.string(), read_text(vocab, most_tokenizer_bytes),
                                                             merges.string(), read_text(merges, most_tokenizer_bytes),
                                                             c));
}

std::unique_ptr<tokenizer> load_tokenizer_json(std::filesystem::path const& file, config const& c) {
  return std::make_unique<bpe_tokenizer>(read_tokenizer_json(file.string(), read_text(file, most_tokenizer_bytes), c));
}

// What a folder holds; nothing if it holds none.
std::unique_ptr<tokenizer> find_tokenizer(std::filesystem::path const& folder, config const& c) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto const holds = [&](char const* name) { return fs::exists(folder / name, ignored); };
  if (holds("tokenizer.json")) return load_tokenizer_json(folder / "tokenizer.json", c);
  if (holds("vocab.json") && holds("merges.txt")) return load_byte_level_bpe(folder, c);
  if (holds("tokenizer.bin")) return std::make_unique<llama2c_tokenizer>(file_source(folder / "tokenizer.bin"), c);
  return nullptr;
}

}  // namespace

std::unique_ptr<tokenizer> load_tokenizer(std::string const& name, std::filesystem::path const& model_path,
                                          config const& c) {
  namespace fs = std::filesystem;
  constexpr char const* kinds = "tokenizer.json, vocab.json with merges.txt, and tokenizer.bin";
  std::error_code ignored;
  if (name == "bytes") return std::make_unique<bytes_tokenizer>(c);
  if (fs::path const given(name); !name.empty()) {
    if (fs::is_directory(given, ignored)) {
      if (auto found = find_tokenizer(given, c)) return found;
      throw bad_file(name, std::string("holds no tokenizer; ") + kinds + " are known; name another folder or file");
    }
    if (given.filename() == "vocab.json" || given.filename() == "merges.txt")
      return load_byte_level_bpe(given.parent_path(), c);
    if (given.extension() == ".json") return load_tokenizer_json(given, c);
    return std::make_unique<llama2c_tokenizer>(file_source(given), c);
  }
  fs::path const folder = fs::is_directory(model_path, ignored) ? model_path : model_path.parent_path();
  if (auto found = find_tokenizer(folder, c)) return found;
  if (c.vocab < 257 || c.bos < 256)
    throw bad_file(model_path.string(), std::string("comes without a tokenizer (") + kinds +
                                            " are known), and its vocabulary of " + std::to_string(c.vocab) +
                                            " is not one of bytes; name its tokenizer with --tokenizer FILE");
  return std::make_unique<bytes_tokenizer>(c);
}

}  // namespace reference_model
