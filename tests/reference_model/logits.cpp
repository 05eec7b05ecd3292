// Logits of small random models against the oracles: families, rotations, pairings, groups, odd sizes, pieces, executors,
// position rules.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <reference_model/model/transformer.hpp>

#include "gpt2_oracle.hpp"
#include "llama_oracle.hpp"
#include "tiny_model.hpp"

namespace {

using namespace reference_model;

constexpr double tolerance = 1e-5;
constexpr std::uint32_t length = 19;

// dim, hidden, vocab and head_dim that are no multiples of the lanes, and groups of 1, 2 and 4.
std::vector<tiny::sizes> const all_sizes{
    {2, 24, 3, 3, 8, 40, 50, false, kvsift::pairing::half_split},
    {2, 24, 3, 3, 8, 40, 50, true, kvsift::pairing::interleaved},
    {3, 15, 4, 2, 6, 23, 37, false, kvsift::pairing::half_split},
    {1, 13, 4, 1, 2, 7, 3, true, kvsift::pairing::half_split},
    {2, 40, 8, 2, 10, 33, 101, false, kvsift::pairing::interleaved},
    {1, 64, 4, 1, 32, 128, 257, true, kvsift::pairing::half_split},
};

std::vector<std::uint32_t> random_tokens(std::uint32_t vocab, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> tokens(length);
  for (std::uint32_t& t : tokens) t = static_cast<std::uint32_t>(random() % vocab);
  return tokens;
}

/// Logits [length, vocab], computed in pieces of `piece` tokens over the library's own cache.
template <class Position = kvsift::original_positions, class Executor>
std::vector<float> in_pieces(Executor const& on, model const& m, std::vector<std::uint32_t> const& tokens,
                             std::uint32_t piece, Position position = {}) {
  config const& c = m.config;
  kvsift::cache_shape const shape{c.layers, c.kv_heads, c.group(), c.head_dim, 1};
  kvsift::cache_options options;
  options.capacity = length;
  options.max_piece = piece;
  auto const policy = kvsift::full();
  kvsift::kv_tensor<decltype(policy), kvsift::fp32_payload, Position> cache(shape, policy, options, position);
  transformer decoder(m, piece, logits_of::every_token);
  std::vector<float> all;
  for (std::uint32_t at = 0; at < length; at += piece) {
    std::uint32_t const n = std::min(piece, length - at);
    std::vector<std::uint32_t> positions(n);
    for (std::uint32_t i = 0; i < n; ++i) positions[i] = at + i;
    float const* const logits = decoder.forward(on, cache, &tokens[at], positions.data(), n);
    all.insert(all.end(), logits, logits + std::size_t{n} * c.vocab);
  }
  return all;
}

/// The largest distance from the oracle's logits.
double apart(std::vector<float> const& mine, std::vector<oracle::row> const& expected) {
  double worst = 0;
  std::size_t i = 0;
  for (oracle::row const& row : expected)
    for (double e : row) worst = std::max(worst, std::abs(static_cast<double>(mine.at(i++)) - e));
  return i == mine.size() ? worst : INFINITY;
}

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_CASE("logits are the oracle's, token by token and in pieces, with rotated and unrotated keys") {
  double worst = 0;
  for (std::size_t i = 0; i < all_sizes.size(); ++i) {
    INFO("model ", i);
    model const m = tiny::make_model(tiny::make_config(all_sizes[i]), i + 1);
    std::vector<std::uint32_t> const tokens = random_tokens(m.config.vocab, i + 1);
    std::vector<oracle::row> const expected = oracle::logits(m, tokens);
    kvsift::in_cache_positions const by_rank{m.config.rotation};
    for (std::uint32_t piece : {1u, 2u, 7u, length}) {
      INFO("pieces of ", piece);
      double const original = apart(in_pieces(kvsift::serial_executor{}, m, tokens, piece), expected);
      double const in_cache = apart(in_pieces(kvsift::serial_executor{}, m, tokens, piece, by_rank), expected);
      CHECK(original < tolerance);
      CHECK(in_cache < tolerance);
      worst = std::max({worst, original, in_cache});
    }
  }
  MESSAGE("largest distance ", worst);
}

/// Models that differ from Llama's defaults in what the name says.
std::vector<std::pair<char const*, config>> variants() {
  using kvsift::rotary_scaling;
  tiny::sizes const usual{2, 24, 4, 2, 8, 40, 50}, odd{2, 15, 4, 2, 6, 23, 37, true};
  std::vector<std::pair<char const*, config>> all;
  auto const add = [&](char const* name, tiny::sizes const& sizes, auto const& change) {
    config c = tiny::make_config(sizes);
    change(c);
    all.emplace_back(name, c);
  };
  auto const scaled = [](rotary_scaling how, std::uint32_t trained, double slow, double fast, double amplitude) {
    return [=](config& c) {
      c.rotation.scaling = how;
      c.rotation.factor = 4;
      c.rotation.trained = trained;
      c.rotation.slow = slow;
      c.rotation.fast = fast;
      c.rotation.amplitude = amplitude;
      c.rotation.theta = 100;
    };
  };
  add("biases of query, key and value", usual, [](config& c) { c.input_bias = true; });
  add("biases of the attention", odd, [](config& c) { c.input_bias = c.output_bias = true; });
  add("biases everywhere", usual, [](config& c) { c.input_bias = c.output_bias = c.feed_bias = true; });
  add("norms of heads", odd, [](config& c) { c.head_norms = true; });
  add("norms and biases", usual, [](config& c) { c.head_norms = c.input_bias = c.output_bias = true; });
  add("half of a head turns", usual, [](config& c) { c.rotation.rotary_dim = 4; });
  add("a pair of a head turns", odd, [](config& c) { c.rotation.rotary_dim = 2; });
  add("linear", usual, scaled(rotary_scaling::linear, 0, 1, 32, 1));
  add("yarn", usual, scaled(rotary_scaling::yarn, 12, 0.1, 1.5, 1.138629436111989));
  add("yarn, another amplitude", odd, scaled(rotary_scaling::yarn, 40, 1, 4, 0.8));
  add("llama3", usual, scaled(rotary_scaling::llama3, 12, 0.1, 1.5, 1));
  add("llama3, half of a head", usual, [&](config& c) {
    scaled(rotary_scaling::llama3, 40, 1, 4, 1)(c);
    c.rotation.rotary_dim = 4;
  });
  add("dynamic, not yet", usual, scaled(rotary_scaling::dynamic_ntk, length, 1, 32, 1));
  return all;
}

TEST_CASE("biases, norms of heads, partial and scaled rotations: the oracle's logits") {
  double worst = 0;
  for (auto const& variant : variants()) {
    INFO(variant.first);
    config const& c = variant.second;
    model const m = tiny::make_model(c, 3);
    std::vector<std::uint32_t> const tokens = random_tokens(c.vocab, 4);
    std::vector<oracle::row> const expected = oracle::logits(m, tokens);
    for (std::uint32_t piece : {1u, 7u, length}) {
      INFO("pieces of ", piece);
      double const original = apart(in_pieces(kvsift::serial_executor{}, m, tokens, piece), expected);
      double const in_cache = apart(in_pieces(kvsift::serial_executor{}, m, tokens, piece,
                                              kvsift::in_cache_positions{c.rotation}), expected);
      CHECK(original < tolerance);
      CHECK(in_cache < tolerance);
      worst = std::max({worst, original, in_cache});
    }
  }
  MESSAGE("largest distance ", worst);
}

TEST_CASE("dynamic rotation goes by the length of the text: one piece that is longer than the model was trained for") {
  config c = tiny::make_config({2, 24, 4, 2, 8, 40, 50});
  c.rotation.scaling = kvsift::rotary_scaling::dynamic_ntk;
  c.rotation.factor = 2;
  c.rotation.trained = 9;
  model const m = tiny::make_model(c, 3);
  std::vector<std::uint32_t> const tokens = random_tokens(c.vocab, 4);
  CHECK(apart(in_pieces(kvsift::serial_executor{}, m, tokens, length), oracle::logits(m, tokens)) < tolerance);
}

TEST_CASE("GPT-2: the oracle's logits, whatever the pieces") {
  double worst = 0;
  for (tiny::sizes const& sizes : {tiny::sizes{2, 24, 3, 3, 8, 40, 50, true}, tiny::sizes{3, 15, 3, 3, 5, 23, 37},
                                   tiny::sizes{1, 64, 2, 2, 32, 256, 101, true}}) {
    model const m = tiny::make_model(tiny::make_gpt2_config(sizes), sizes.dim);
    std::vector<std::uint32_t> const tokens = random_tokens(m.config.vocab, sizes.vocab);
    std::vector<oracle::row> const expected = oracle::gpt2_logits(m, tokens);
    kvsift::in_cache_positions const by_rank{m.config.rotation};
    std::vector<float> const whole = in_pieces(kvsift::serial_executor{}, m, tokens, length);
    for (std::uint32_t piece : {1u, 2u, 7u, length}) {
      INFO("dim ", sizes.dim, ", pieces of ", piece);
      std::vector<float> const original = in_pieces(kvsift::serial_executor{}, m, tokens, piece);
      CHECK(apart(original, expected) < tolerance);
      CHECK(apart(in_pieces(kvsift::serial_executor{}, m, tokens, piece, by_rank), expected) < tolerance);
      worst = std::max(worst, apart(original, expected));
    }
    CHECK(same_bits(whole, in_pieces(kvsift::parallel_executor(3), m, tokens, length)));
  }
  MESSAGE("largest distance ", worst);
}

TEST_CASE("serial and parallel executors give the same bits") {
  kvsift::parallel_executor const two(2), three(3);
  for (std::size_t i = 0; i < all_sizes.size(); ++i) {
    INFO("model ", i);
    model const m = tiny::make_model(tiny::make_config(all_sizes[i]), i + 1);
    std::vector<std::uint32_t> const tokens = random_tokens(m.config.vocab, i + 1);
    for (std::uint32_t piece : {1u, 7u, length}) {
      INFO("pieces of ", piece);
      std::vector<float> const serial = in_pieces(kvsift::serial_executor{}, m, tokens, piece);
      CHECK(same_bits(serial, in_pieces(two, m, tokens, piece)));
      CHECK(same_bits(serial, in_pieces(three, m, tokens, piece)));
    }
  }
}

TEST_CASE("matrix products do not depend on how many tokens come at once, nor on who computes them") {
  std::uint32_t const columns = 37, rows = 70, n = 9;
  std::mt19937_64 random(5);
  std::normal_distribution<float> number;
  std::vector<float> weights(rows * columns), x(n * columns);
  for (float& w : weights) w = number(random);
  for (float& v : x) v = number(random);
  std::vector<float> at_once(n * rows), one_by_one(n * rows);
  linear(kvsift::parallel_executor(3), x.data(), n, columns, std::array{product{{weights.data(), weights.size()}, rows, at_once.data()}});
  for (std::uint32_t t = 0; t < n; ++t)
    linear(kvsift::serial_executor{}, x.data() + t * columns, 1, columns,
           std::array{product{{weights.data(), weights.size()}, rows, one_by_one.data() + t * rows}});
#if defined(REFERENCE_MODEL_BLAS)
  for (std::size_t i = 0; i < at_once.size(); ++i)  // several tokens go to the BLAS, one does not
    CHECK(at_once[i] == doctest::Approx(one_by_one[i]).epsilon(1e-5));
#else
  CHECK(same_bits(at_once, one_by_one));
#endif
}

}  // namespace
