// A GPT-2 whose weights a formula gives, read from a file in Hugging Face's layout: negative log-likelihoods that two
// independent programs computed in double, with a window that moves on and with one that is recomputed.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/exec/executor.hpp>
#include <reference_model/model/metrics.hpp>
#include <reference_model/model/transformer.hpp>

#include <support/files.hpp>

#include "formula_gpt2.hpp"
#include "plain_cache.hpp"

namespace {

using namespace reference_model;

struct recorded {
  nlohmann::json all = nlohmann::json::parse(support::read_file(support::test_data() / "tiny_gpt2_vectors.json"));
  std::vector<std::uint32_t> tokens = all["tokens"];
  std::vector<double> window = all["sw"], recomputed = all["ar"];
};

constexpr std::uint32_t slots = 12, sinks = 4;
constexpr double tolerance = 2e-5;  // sums of the model are single

std::vector<std::uint32_t> counted(std::uint32_t n) {
  std::vector<std::uint32_t> numbers(n);
  for (std::uint32_t i = 0; i < n; ++i) numbers[i] = i;
  return numbers;
}

TEST_CASE("a formula's GPT-2: its first weights, and that every weight is read") {
  model const m = formula::make_model();
  CHECK(m.embedding.data()[0] == doctest::Approx(-0.2635445).epsilon(1e-6));
  CHECK(m.embedding.data()[1] == doctest::Approx(-0.13072938).epsilon(1e-6));
  CHECK(m.layers[1].query_bias.size() == 128);
}

// What scores: the first C + 1 tokens come in one piece, and every label is predicted from C + 1 tokens.

TEST_CASE("a window that moves on: positions are slots, the oldest token behind the sinks leaves") {
  recorded const expected;
  model const m = formula::make_model();
  transformer decoder(m, slots + 1);
  plain::cache cache(m.config);
  std::vector<std::uint32_t> positions = counted(slots + 1);
  double worst = 0, sum = 0;
  for (std::uint32_t i = 0; i < expected.window.size(); ++i) {
    std::uint32_t const n = i == 0 ? slots + 1 : 1;  // tokens of this piece; the last stands at position `slots`
    float const* const logits = decoder.forward(kvsift::serial_executor{}, cache, &expected.tokens[slots + 1 + i - n],
                                                &positions[slots + 1 - n], n);
    double const nll = negative_log_likelihood(logits, m.config.vocab, expected.tokens[slots + 1 + i]);
    worst = std::max(worst, std::abs(nll - expected.window[i]));
    sum += nll;
    for (std::uint32_t l = 0; l < m.config.layers; ++l)
      for (std::vector<float>* kept : {&cache.layer(l).keys, &cache.layer(l).values})
        kept->erase(kept->begin() + sinks * m.config.dim, kept->begin() + (sinks + 1) * m.config.dim);
  }
  CHECK(worst < tolerance);
  CHECK(sum / static_cast<double>(expected.window.size()) == doctest::Approx(8.431555).epsilon(1e-6));
  MESSAGE("largest difference ", worst);
}

TEST_CASE("a window that is recomputed: the last tokens at positions from 0, in one piece") {
  recorded const expected;
  model const m = formula::make_model();
  transformer decoder(m, slots + 1);
  std::vector<std::uint32_t> const positions = counted(slots + 1);
  double worst = 0, sum = 0;
  for (std::uint32_t i = 0; i < expected.recomputed.size(); ++i) {
    plain::cache cache(m.config);
    float const* const logits =
        decoder.forward(kvsift::serial_executor{}, cache, &expected.tokens[i], positions.data(), slots + 1);
    double const nll = negative_log_likelihood(logits, m.config.vocab, expected.tokens[slots + 1 + i]);
    worst = std::max(worst, std::abs(nll - expected.recomputed[i]));
    sum += nll;
  }
  CHECK(worst < tolerance);
  CHECK(sum / static_cast<double>(expected.recomputed.size()) == doctest::Approx(9.583316).epsilon(1e-6));
  MESSAGE("largest difference ", worst);
}

TEST_CASE("positions that were never learned are refused before anything is read or kept") {
  model const m = formula::make_model();
  transformer decoder(m, 2);
  plain::cache cache(m.config);
  std::uint32_t const tokens[2] = {1, 2}, last[2] = {62, 63}, beyond[2] = {63, 64};
  decoder.forward(kvsift::serial_executor{}, cache, tokens, last, 2);
  std::size_t const held = cache.layer(0).keys.size();
  std::string said;
  try {
    decoder.forward(kvsift::serial_executor{}, cache, tokens, beyond, 2);
  } catch (kvsift::bad_argument const& bad) {
    said = bad.what();
  }
  CHECK(said ==
        "position is 64; this model has learned positions 0 to 63 and no others; shorten the text or give "
        "positions within the cache");
  CHECK(cache.layer(0).keys.size() == held);
}

}  // namespace
