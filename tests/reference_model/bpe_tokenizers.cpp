// Byte-pair tokenizers of Hugging Face: the tokens that its own library gives, any bytes, and files that are refused.
// tests/data/tokenizers/make.py makes the files and the expectations.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/text/load_tokenizer.hpp>
#include <reference_model/text/tokenizer_json.hpp>
#include <reference_model/text/unicode.hpp>
#include <reference_model/text/utf8.hpp>

#include <support/files.hpp>
#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "shared_data.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;
using nlohmann::json;
using tokens = std::vector<std::uint32_t>;

std::filesystem::path const data = std::filesystem::path(KVSIFT_SOURCE_DIR) / "tests/data/tokenizers";

#define NEEDS_ICU()                                                  \
  do {                                                               \
    if (!has_unicode()) {                                            \
      MESSAGE("skipped: this build is without ICU (libicu-dev)"); \
      return;                                                        \
    }                                                                \
  } while (false)

config config_of(std::uint32_t vocab, std::uint32_t bos) {
  config c;
  c.vocab = vocab;
  c.bos = bos;
  c.ends = {bos};
  return c;
}

json const& expected() {
  static json const all = json::parse(support::read_file(data / "expected.json"));
  return all;
}

std::string file_of(std::string const& name) { return support::read_file(data / (name + ".json")); }

bpe_tokenizer read(std::string const& text, std::uint32_t vocab = 1000) {
  return read_tokenizer_json("tokenizer.json", text, config_of(vocab, 0));
}

char const* const names[] = {"gpt2",           "llama3",          "qwen2",            "smollm2",
                             "sentence_piece", "metaspace_first", "metaspace_always", "unknown"};

// The tokens that the library gave, with and without those in front; an empty text is BOS where it has none. And the text
// they give back, which differs from the library's in two things: a BOS within the text takes the space behind it along,
// and an added token is written as it stands, whatever its characters would mean as bytes.
void check_expected(tokenizer const& words, std::string const& name) {
  json const& texts = expected()["texts"];
  json const& rows = expected()[name];
  std::size_t const front = rows["tokens"][0].size();  // of the empty text
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::string const text = texts[i];
    INFO(name, " ", i, ": ", text);
    tokens wanted = rows["tokens"][i];
    CHECK(words.encode(text) == (wanted.empty() ? tokens{words.bos()} : wanted));
    wanted.erase(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(front));
    CHECK(words.encode(text, false) == wanted);
    bool const has_bos = std::find(wanted.begin(), wanted.end(), words.bos()) != wanted.end();
    if (has_bos || (name == "qwen2" && text.find("mark") != std::string::npos)) continue;
    std::string decoded;
    for (std::size_t j = 0; j < wanted.size(); ++j) decoded += words.piece(j == 0 ? words.bos() : wanted[j - 1], wanted[j]);
    json const& others = rows["decoded"];
    CHECK(decoded == (others.contains(std::to_string(i)) ? others[std::to_string(i)].get<std::string>() : text));
  }
}

TEST_CASE("tokens and texts are those of Hugging Face's library, for every kind of file and script") {
  NEEDS_ICU();
  for (std::string const name : names) check_expected(read(file_of(name)), name);
}

}  // namespace
