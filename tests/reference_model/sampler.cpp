// The sampler against plain definitions, over random logits.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <reference_model/model/sampler.hpp>
#include <support/allocations.hpp>
#include <support/seeds.hpp>

namespace {

using reference_model::sampler;
using reference_model::sampling;
using tokens_type = std::vector<std::uint32_t>;

// Coarse values, so that there are ties.
std::vector<float> random_logits(std::mt19937_64& draw, std::size_t vocab) {
  std::vector<float> logits(vocab);
  for (float& l : logits) l = static_cast<float>(draw() % 25) / 4 - 3;
  return logits;
}

// The probabilities that a draw is made with, from the definitions: one filter behind another, each over a full sort.
std::vector<double> probabilities(std::vector<float> const& logits, sampling const& how, std::set<std::uint32_t> const& banned) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t t = 0; t < logits.size(); ++t)
    if (!banned.contains(t)) order.push_back(t);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  if (how.top_k != 0 && how.top_k < order.size()) order.resize(how.top_k);
  std::vector<double> p(logits.size(), 0);
  double sum = 0;
  for (std::uint32_t const t : order) sum += p[t] = std::exp(static_cast<double>(logits[t]) / how.temperature);
  double before = 0;
  for (std::uint32_t const t : order) {
    double const share = p[t] / sum;
    if (before >= how.top_p) p[t] = 0;
    before += share;
  }
  double left = 0;
  for (double const one : p) left += one;
  for (double& one : p) one /= left;
  return p;
}

TEST_CASE("temperature 0 takes the likeliest token, of equals the lowest") {
  support::for_each_seed(20, [](std::uint64_t seed) {
    std::mt19937_64 draw(seed);
    auto const logits = random_logits(draw, 40);
    auto const best = static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    CHECK(sampler({.top_k = 3, .top_p = 0.5, .seed = seed}, 40).next(logits.data(), {}) == best);
    sampler without({}, 40);
    without.forbid(best);
    std::uint32_t const second = without.next(logits.data(), {});
    CHECK(second != best);
    for (std::uint32_t t = 0; t < 40; ++t) {
      bool const above = logits[t] > logits[second] || (logits[t] == logits[second] && t < second);
      CHECK((!above || t == best));
    }
  });
}

TEST_CASE("draws follow the distribution that temperature, top-k and top-p leave") {
  support::for_each_seed(12, [](std::uint64_t seed) {
    std::mt19937_64 draw(seed);
    std::size_t const vocab = 12;
    auto const logits = random_logits(draw, vocab);
    sampling how{.temperature = 0.5 + static_cast<double>(draw() % 20) / 10, .seed = seed};
    if (draw() % 2 == 0) how.top_k = static_cast<std::uint32_t>(1 + draw() % 14);
    if (draw() % 2 == 0) how.top_p = 0.05 + static_cast<double>(draw() % 19) / 20;
    CAPTURE(how.temperature);
    CAPTURE(how.top_k);
    CAPTURE(how.top_p);
    auto const banned = static_cast<std::uint32_t>(draw() % vocab);
    auto const expected = probabilities(logits, how, {banned});
    sampler drawn(how, static_cast<std::uint32_t>(vocab));
    drawn.forbid(banned);
    std::vector<double> seen(vocab, 0);
    int const draws = 20000;
    for (int i = 0; i < draws; ++i) seen[drawn.next(logits.data(), {})] += 1.0 / draws;
    for (std::size_t t = 0; t < vocab; ++t) {
      CHECK(std::abs(seen[t] - expected[t]) < 5 * std::sqrt(expected[t] * (1 - expected[t]) / draws) + 1e-9);
    }
  });
}

TEST_CASE("no n-gram twice") {
  support::for_each_seed(10, [](std::uint64_t seed) {
    std::mt19937_64 draw(seed);
    for (std::uint32_t const n : {1u, 2u, 3u}) {
      sampler drawn({.temperature = 1, .no_repeat_ngram = n, .seed = seed}, 8);
      tokens_type text{3, 3, 5};
      std::set<tokens_type> grams;
      for (std::size_t i = 0; i + n <= text.size(); ++i) grams.insert(tokens_type(text.begin() + static_cast<long>(i), text.begin() + static_cast<long>(i + n)));
      for (int i = 0; i < 5; ++i) {
        text.push_back(drawn.next(random_logits(draw, 8).data(), text));
        CHECK(grams.insert(tokens_type(text.end() - n, text.end())).second);
      }
    }
  });
  tokens_type const all{0, 1, 2, 3};
  std::vector<float> const logits{0, 1, 3, 2};
  CHECK(sampler({.no_repeat_ngram = 1}, 4).next(logits.data(), all) == 2);  // everything repeats: the likeliest after all
}

TEST_CASE("a seed says everything, and another seed something else") {
  std::mt19937_64 draw(7);
  auto const logits = random_logits(draw, 50);
  sampling const how{.temperature = 1.5, .top_p = 0.95, .seed = 11};
  sampling other = how;
  other.seed = 12;
  sampler a(how, 50), b(how, 50), c(other, 50);
  int differences = 0;
  for (int i = 0; i < 200; ++i) {
    std::uint32_t const token = a.next(logits.data(), {});
    CHECK(token == b.next(logits.data(), {}));
    differences += token != c.next(logits.data(), {});
  }
  CHECK(differences > 50);
}

TEST_CASE("a draw allocates nothing") {
  std::mt19937_64 draw(3);
  auto const logits = random_logits(draw, 300);
  sampler drawn({.temperature = 1, .top_k = 40, .top_p = 0.9, .no_repeat_ngram = 3}, 300);
  tokens_type text{1, 2, 3, 1, 2};
  text.reserve(200);
  support::allocation_scope const counted;
  for (int i = 0; i < 100; ++i) text.push_back(drawn.next(logits.data(), text));
  CHECK(counted.count() == 0);
}

TEST_CASE("what cannot be sampled is refused") {
  CHECK_THROWS_WITH_AS(sampler({.temperature = -1}, 4), doctest::Contains("temperature is -1"), kvsift::bad_argument);
  CHECK_THROWS_WITH_AS(sampler({.top_p = 0}, 4), doctest::Contains("top_p is 0"), kvsift::bad_argument);
  CHECK_THROWS_WITH_AS(sampler({.top_p = 1.5}, 4), doctest::Contains("top_p is 1.5"), kvsift::bad_argument);
}

}  // namespace
