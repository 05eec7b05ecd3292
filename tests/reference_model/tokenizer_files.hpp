#pragma once
// Tokenizers of tests/data/tokenizers, and what reads them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <reference_model/text/tokenizer_json.hpp>
#include <reference_model/text/unicode.hpp>

#include <support/files.hpp>

using tokens = std::vector<std::uint32_t>;

inline std::filesystem::path const tokenizer_folder =
    std::filesystem::path(KVSIFT_SOURCE_DIR) / "tests/data/tokenizers";

/// The text of a tokenizer.json of that folder.
inline std::string tokenizer_text(std::string const& name) {
  return support::read_file(tokenizer_folder / (name + ".json"));
}

/// A model of so many tokens that ends with its BOS.
inline reference_model::config config_of(std::uint32_t vocab, std::uint32_t bos) {
  reference_model::config c;
  c.vocab = vocab;
  c.bos = bos;
  c.ends = {bos};
  return c;
}

inline reference_model::bpe_tokenizer tokenizer_of(std::string const& text, std::uint32_t vocab = 1000) {
  return reference_model::read_tokenizer_json("tokenizer.json", text, config_of(vocab, 0));
}

/// Leaves a test, saying why, in a build without ICU.
#define NEEDS_ICU()                                               \
  do {                                                            \
    if (!reference_model::has_unicode()) {                        \
      MESSAGE("skipped: this build is without ICU (libicu-dev)"); \
      return;                                                     \
    }                                                             \
  } while (false)
