// A Llama whose weights a formula gives: negative log-likelihoods of StreamingLLM's harness, token by token, that independent
// programs computed in double: dense, with sinks and without, numbered by slot and by text; and a reservoir's whole course, whose
// draws are Python's.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <sstream>
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

/// The generator that Python's random.seed(seed) leaves.
std::mt19937 python_generator(u32 seed) {
  constexpr u32 n = 624;
  std::vector<u32> state(n);
  state[0] = 19650218;
  for (u32 i = 1; i < n; ++i) state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
  u32 i = 1;
  auto const next = [&] {
    if (++i < n) return;
    state[0] = state[n - 1];
    i = 1;
  };
  for (u32 k = 0; k < n; ++k, next()) state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1664525u)) + seed;
  for (u32 k = 1; k < n; ++k, next()) state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941u)) - i;
  state[0] = 0x80000000u;
  std::stringstream text;
  for (u32 const word : state) text << word << ' ';
  text << n;
  std::mt19937 generator;
  text >> generator;
  return generator;
}

/// What a head holds, ascending.
template <class Cache>
std::vector<u32> held_by(Cache const& cache, u32 layer, u32 head) {
  auto const row = cache.view().row(cache.shape().row(layer, 0, head));
  std::vector<u32> positions(row.positions.data(), row.positions.data() + row.state->held);
  std::sort(positions.begin(), positions.end());
  return positions;
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

TEST_CASE("the reservoir's course on a formula's Llama: draws, acceptances, room for a query, what is generated") {
  std::mt19937 bits = python_generator(42);
  std::vector<float> draws(std::size_t{30} * 2 * 4, 1.0f);
  for (std::size_t d = 8 * 8; d < draws.size(); ++d) {  // from the ninth token on, layer by layer, head by head
    double const high = static_cast<u32>(bits()) >> 5, low = static_cast<u32>(bits()) >> 6;
    draws[d] = static_cast<float>((high * 67108864 + low) / 9007199254740992.0);
  }
  CHECK(draws[64] == doctest::Approx(0.639426798458));
  CHECK(draws[69] == doctest::Approx(0.676699487423));

  nlohmann::json const recorded = nlohmann::json::parse(support::read_file(support::test_data() / "tiny_llama_vectors.json"));
  std::vector<u32> const tokens = recorded["tokens"];
  model const m = formula_model(4);
  // As the original, which lets the newest token make room as well; ours keeps it.
  kvsift::rule<kvsift::newest_query_attention> const room{kvsift::moment::before_piece, {}, {}};
  kvsift::policy const original{kvsift::uniform_budget{8}, kvsift::in_pieces(1, kvsift::reservoir_attention{2, 0, {draws.data(), 30, 2, 4}}, {}), room};
  kvsift::kv_tensor cache{kvsift::cache_shape{2, 4, 1, 8, 1}, original, {.max_piece = 3}, kvsift::in_cache_positions{{10000.0}}};
  transformer decoder(m, 3);
  double sum = 0;
  std::string accepted;
  u32 taken = 0, seen = 0;
  for (u32 t = 0; t < 30; ++t) {
    std::vector<std::vector<u32>> before(8);
    for (u32 h = 0; h < 8; ++h) before[h] = held_by(cache, h / 4, h % 4);
    sum += negative_log_likelihood(decoder.forward(kvsift::serial_executor{}, cache, &tokens[t], &seen, 1), 40, tokens[t + 1]);
    ++seen;
    for (u32 h = 0; h < 8; ++h) {
      std::vector<u32> const after = held_by(cache, h / 4, h % 4);
      for (u32 slot = 0; slot < 2 && t >= 8; ++slot) {
        if (std::count(after.begin(), after.end(), before[h][slot]) != 0) continue;
        if (++taken <= 4) accepted += "(" + std::to_string(t) + "," + std::to_string(h / 4) + "," + std::to_string(h % 4) + "," + std::to_string(slot) + ")";
      }
    }
  }
  CHECK(taken == 17);  // of 176 candidates
  CHECK(accepted == "(9,0,3,1)(10,0,3,0)(10,1,2,0)(11,0,1,0)");
  CHECK(sum / 30 == doctest::Approx(7.694812).epsilon(1e-6));
  u32 const start[8][2] = {{13, 15}, {5, 20}, {0, 9}, {3, 4}, {14, 17}, {1, 20}, {1, 10}, {21, 23}};
  for (u32 h = 0; h < 8; ++h) CHECK(held_by(cache, h / 4, h % 4) == std::vector<u32>{start[h][0], start[h][1], 24, 25, 26, 27, 28, 29});

  kvsift::make_room(kvsift::serial_executor{}, cache, 5);
  std::vector<u32> const left[8] = {{15, 25, 28}, {24, 25, 28}, {27, 28, 29}, {4, 28, 29}, {24, 26, 27}, {20, 25, 27}, {1, 25, 26}, {23, 25, 29}};
  for (u32 h = 0; h < 8; ++h) CHECK(held_by(cache, h / 4, h % 4) == left[h]);

  u32 const query[3] = {1, 36, 34}, places[3] = {3, 4, 5};
  auto const likeliest = [](float const* logits) { return static_cast<u32>(std::max_element(logits, logits + 40) - logits); };
  u32 const first = likeliest(decoder.forward(kvsift::serial_executor{}, cache, query, places, 3)), at = 6;
  CHECK(first == 4);
  CHECK(likeliest(decoder.forward(kvsift::serial_executor{}, cache, &first, &at, 1)) == 4);
  CHECK(cache.held(0) == 7);
}
