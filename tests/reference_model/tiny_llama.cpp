// A Llama whose weights a formula gives: negative log-likelihoods of StreamingLLM's harness, token by token, that independent
// programs computed in double: dense, with sinks and without, numbered by slot and by text.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/kvsift.hpp>
#include <reference_model/model/metrics.hpp>
#include <reference_model/model/transformer.hpp>
#include <support/files.hpp>

namespace {

using namespace reference_model;
using u32 = std::uint32_t;

/// Tensors row-major, one after another from one stream: s <- 1664525 s + 1013904223 before each number.
model formula_model(u32 kv_heads) {
  model m;
  config& c = m.config;
  c.layers = 2;
  c.dim = 32;
  c.heads = 4;
  c.kv_heads = kv_heads;
  c.head_dim = 8;
  c.hidden = 48;
  c.vocab = 40;
  c.max_positions = 64;
  c.norm_eps = 1e-5;
  c.tied = true;
  u32 s = 2;
  auto const draw = [&](std::size_t count, double reach) {
    floats x(count);
    for (std::size_t i = 0; i < count; ++i) {
      s = 1664525u * s + 1013904223u;
      x.data()[i] = static_cast<float>((static_cast<double>(s >> 8) / 16777216.0 - 0.5) * 2 * reach);
    }
    return x;
  };
  auto const ones = [] {
    floats x(32);
    std::fill(x.data(), x.data() + 32, 1.0f);
    return x;
  };
  m.embedding = draw(40 * 32, 1);
  std::size_t const keys = std::size_t{8} * kv_heads;
  for (u32 l = 0; l < 2; ++l) {
    layer_weights w;
    w.attention_norm = ones();
    w.feed_norm = ones();
    w.query = draw(32 * 32, .5);
    w.key = draw(keys * 32, .5);
    w.value = draw(keys * 32, .5);
    w.output = draw(32 * 32, .3);
    w.gate = draw(48 * 32, .3);
    w.up = draw(48 * 32, .3);
    w.down = draw(32 * 48, .3);
    m.layers.push_back(std::move(w));
  }
  m.final_norm = ones();
  return m;
}

/// The harness: a token is fed, its successor predicted, then the cache is trimmed.
template <class Policy, class Position>
void agrees(std::string const& name, u32 kv_heads, Policy const& policy, Position const& position) {
  CAPTURE(name);
  nlohmann::json const recorded = nlohmann::json::parse(support::read_file(support::test_data() / "tiny_llama_vectors.json"));
  std::vector<u32> const tokens = recorded["tokens"];
  std::vector<double> const expected = recorded[name];
  REQUIRE(expected.size() == 40);
  model const m = formula_model(kv_heads);
  kvsift::kv_tensor cache{kvsift::cache_shape{2, kv_heads, 4 / kv_heads, 8, 1}, policy, {.capacity = policy.facts().moments == kvsift::moment{} ? 64u : 0u}, position};
  transformer decoder(m);
  double worst = 0;
  for (u32 t = 0; t < 40; ++t) {
    float const* const logits = decoder.forward(kvsift::serial_executor{}, cache, &tokens[t], &t, 1);
    worst = std::max(worst, std::abs(negative_log_likelihood(logits, 40, tokens[t + 1]) - expected[t]));
  }
  CHECK(worst < 5e-5);
}

}  // namespace

TEST_CASE("StreamingLLM's harness on a formula's Llama") {
  for (u32 const kv_heads : {4u, 2u}) {
    std::string const front = kv_heads == 4 ? "mha_" : "gqa_";
    kvsift::in_cache_positions const by_slot{{10000.0}};
    kvsift::original_positions const by_text;
    agrees(front + "dense", kv_heads, kvsift::full(), by_text);
    agrees(front + "dense", kv_heads, kvsift::full(), by_slot);
    agrees(front + "stream_S2_R6", kv_heads, kvsift::streaming_llm(2, 6), by_slot);
    agrees(front + "window_S0_R8", kv_heads, kvsift::streaming_llm(0, 8), by_slot);
    agrees(front + "window_S0_R8", kv_heads, kvsift::streaming_llm(0, 8), by_text);
    agrees(front + "stream_S2_R6_origpos", kv_heads, kvsift::streaming_llm(2, 6), by_text);
  }
}
