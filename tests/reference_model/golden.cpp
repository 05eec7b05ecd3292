// What llama2.c computed with stories260K: greedy texts, tokens, negative log-likelihoods.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/exec/executor.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <reference_model/io/llama2c.hpp>
#include <reference_model/model/metrics.hpp>
#include <reference_model/model/transformer.hpp>
#include <reference_model/text/llama2c_tokenizer.hpp>

#include "plain_cache.hpp"
#include "shared_data.hpp"

namespace {

using namespace reference_model;

struct stories {
  model weights = load_llama2c(shared_file("data/stories260K/stories260K.bin"));
  llama2c_tokenizer words{file_source(shared_file("data/stories260K/tok512.bin")), weights.config};
  nlohmann::json golden =
      nlohmann::json::parse(std::ifstream(shared_file("data/stories260K/golden.json")), nullptr, true);
};

template <class Executor>
std::string greedy_text(Executor const& on, stories const& s, std::string const& prompt, std::uint32_t steps) {
  transformer decoder(s.weights);
  plain::cache cache(s.weights.config);
  std::vector<std::uint32_t> const tokens = s.words.encode(prompt);
  std::string text;
  std::uint32_t token = tokens[0];
  for (std::uint32_t position = 0; position < steps; ++position) {
    float const* logits = decoder.forward(on, cache, &token, &position, 1);
    std::uint32_t const next = position + 1 < tokens.size()
                                   ? tokens[position + 1]
                                   : static_cast<std::uint32_t>(
                                         std::max_element(logits, logits + s.weights.config.vocab) - logits);
    if (next == s.words.bos()) break;
    text += s.words.piece(token, next);
    token = next;
  }
  return text;
}

TEST_CASE("greedy texts of llama2.c, character for character") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  stories const s;
  // run.c ends its output with a newline of its own.
  for (auto const& g : s.golden["greedy"])
    CHECK(greedy_text(kvsift::serial_executor{}, s, g["prompt"], g["steps"]) + "\n" == g["text"].get<std::string>());
  auto const& g = s.golden["greedy"][0];
  CHECK(greedy_text(kvsift::parallel_executor(2), s, g["prompt"], g["steps"]) + "\n" == g["text"].get<std::string>());
}

TEST_CASE("passages: tokens exactly, negative log-likelihoods within 1e-4, token by token and in one piece") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  stories const s;
  std::uint32_t const vocab = s.weights.config.vocab;
  for (auto const& p : s.golden["passages"]) {
    std::vector<std::uint32_t> const tokens = s.words.encode(p["text"].get<std::string>());
    std::vector<std::uint32_t> const expected = p["tokens"];
    REQUIRE(tokens == expected);
    CHECK(s.words.decode(tokens) == p["text"].get<std::string>());
    std::vector<double> const nll = p["nll"];
    std::vector<std::uint32_t> positions(tokens.size());
    for (std::uint32_t i = 0; i < positions.size(); ++i) positions[i] = i;
    std::uint32_t const n = static_cast<std::uint32_t>(nll.size());

    transformer one(s.weights);
    transformer whole(s.weights, n, logits_of::every_token);
    plain::cache step_by_step(s.weights.config), at_once(s.weights.config);
    float const* all = whole.forward(kvsift::serial_executor{}, at_once, tokens.data(), positions.data(), n);
    double worst = 0, sum = 0, apart = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      float const* logits = one.forward(kvsift::serial_executor{}, step_by_step, &tokens[i], &positions[i], 1);
      double const mine = negative_log_likelihood(logits, vocab, tokens[i + 1]);
      worst = std::max(worst, std::abs(mine - nll[i]));
      sum += mine;
      for (std::uint32_t j = 0; j < vocab; ++j)
        apart = std::max(apart, std::abs(static_cast<double>(logits[j]) - static_cast<double>(all[i * vocab + j])));
    }
    CHECK(worst < 1e-4);
    CHECK(sum / n == doctest::Approx(p["mean_nll"].get<double>()).epsilon(1e-5));
    CHECK(apart < 1e-4);
    MESSAGE("largest difference ", worst, ", piece against steps ", apart);
  }
}

TEST_CASE("unrotated keys, rotated on reading, give the same logits") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  stories const s;
  std::vector<std::uint32_t> const tokens = s.words.encode("Once upon a time, there was a dog");
  transformer decoder(s.weights), other(s.weights);
  plain::cache encoded(s.weights.config), unrotated(s.weights.config, kvsift::keys_are::unrotated);
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    float const* a = decoder.forward(kvsift::serial_executor{}, encoded, &tokens[i], &i, 1);
    float const* b = other.forward(kvsift::serial_executor{}, unrotated, &tokens[i], &i, 1);
    for (std::uint32_t j = 0; j < s.weights.config.vocab; ++j) REQUIRE(a[j] == doctest::Approx(b[j]).epsilon(1e-4));
  }
  CHECK(encoded.evictions == tokens.size());
}

}  // namespace
