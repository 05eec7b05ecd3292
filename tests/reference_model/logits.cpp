// Logits of small random models against the oracle: pairings, groups, odd sizes, pieces, executors, position rules.

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
  linear(kvsift::parallel_executor(3), x.data(), n, columns, std::array{product{weights.data(), rows, at_once.data()}});
  for (std::uint32_t t = 0; t < n; ++t)
    linear(kvsift::serial_executor{}, x.data() + t * columns, 1, columns,
           std::array{product{weights.data(), rows, one_by_one.data() + t * rows}});
#if defined(REFERENCE_MODEL_BLAS)
  for (std::size_t i = 0; i < at_once.size(); ++i)  // several tokens go to the BLAS, one does not
    CHECK(at_once[i] == doctest::Approx(one_by_one[i]).epsilon(1e-5));
#else
  CHECK(same_bits(at_once, one_by_one));
#endif
}

}  // namespace
