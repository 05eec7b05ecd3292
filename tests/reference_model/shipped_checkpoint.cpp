// The checkpoint in the repository: it loads, its tokenizer gives texts back, and it finds what stands in its context.
// Nothing here holds for one training run only.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/passkey_prompt.hpp>
#include <kvsift/exec/executor.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/model/transformer.hpp>
#include <reference_model/text/load_tokenizer.hpp>

#include "plain_cache.hpp"

namespace {

using namespace reference_model;

std::filesystem::path const folder = KVSIFT_SOURCE_DIR "/reference_model/checkpoint";

struct shipped {
  model weights = load_model(folder);
  std::unique_ptr<tokenizer> words = load_tokenizer("", folder, weights.config);
};

/// The `count` tokens that follow the prompt [n], greedily.
std::string answer(shipped const& s, std::vector<std::uint32_t> prompt, std::uint32_t count) {
  transformer decoder(s.weights, static_cast<std::uint32_t>(prompt.size()));
  plain::cache cache(s.weights.config);
  std::vector<std::uint32_t> positions(prompt.size());
  for (std::uint32_t i = 0; i < positions.size(); ++i) positions[i] = i;
  std::string text;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto const n = static_cast<std::uint32_t>(prompt.size());
    float const* logits = decoder.forward(kvsift::serial_executor{}, cache, prompt.data(), positions.data(), n);
    std::uint32_t const next =
        static_cast<std::uint32_t>(std::max_element(logits, logits + s.weights.config.vocab) - logits);
    text += s.words->piece(prompt.back(), next);
    prompt = {next};
    positions = {positions.back() + 1};
  }
  return text;
}

}  // namespace

TEST_CASE("the shipped checkpoint is what the programs and the measurements count on") {
  shipped const s;
  config const& c = s.weights.config;
  CHECK(c.max_positions >= 2048);
  CHECK(c.layers >= 4);
  CHECK(c.kv_heads >= 4);
  CHECK(c.group() >= 2);
  CHECK(s.words->vocab() == c.vocab);
}

TEST_CASE("the shipped tokenizer gives every text back") {
  shipped const s;
  std::string every_character;
  for (char b = 1; b < 127; ++b) every_character += b;
  for (std::string const& text : {std::string("Once upon a time, there was a little girl named Lily."),
                                 std::string("The pass key is 48213. Remember it."), std::string("a\n\n\"b\"\n  c \t d "),
                                 std::string("na\xc3\xafve \xe2\x80\x9cquotes\xe2\x80\x9d \xf0\x9f\x98\x80"), every_character}) {
    CAPTURE(text);
    std::vector<std::uint32_t> const tokens = s.words->encode(text);
    CHECK(tokens.front() == s.words->bos());
    CHECK(s.words->decode(tokens) == text);
  }
}

TEST_CASE("the shipped checkpoint finds the pass key") {
  shipped const s;
  programs::passkey_prompts prompts(*s.words, 1);
  int right = 0;
  for (int i = 0; i < 10; ++i) {
    programs::passkey_prompt const prompt = prompts.next(i / 9.0, 200);
    CHECK(prompt.tokens.size() + 6 <= 200);  // five digits and a space to come
    CHECK(prompt.tokens.size() + 6 > 180);   // the longest sentence takes less than 20
    right += answer(s, prompt.tokens, 5) == prompt.target;
  }
  CHECK(right >= 9);
}
