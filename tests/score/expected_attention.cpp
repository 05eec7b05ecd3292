// Expected Attention against its definition, in rows and pages, by groups of threads, and where it cannot be asked.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <oracle/attention.hpp>
#include <oracle/expected_attention.hpp>
#include <oracle/rule.hpp>
#include <support/listed.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;
using oracle::numbers;

/// A prompt of one layer, one sequence: what the model computes before the rotation, and what it hands to the cache.
struct encoded_prompt {
  cache_shape shape;
  rotary_encoding encoding;
  oracle::rotation turns;
  u32 tokens;
  std::vector<float> queries, keys, values;               // as step takes them
  std::vector<std::vector<std::vector<numbers>>> asked;   // [head][of its group][token][dim], before the rotation
  std::vector<std::vector<numbers>> held, said;           // [head][token][dim]: keys after it, values

  explicit encoded_prompt(std::uint64_t seed) {
    support::draws d(seed);
    shape = {1, static_cast<u32>(d.between(1, 2)), static_cast<u32>(d.between(1, 3)), static_cast<u32>(2 * d.between(1, 9)), 1};
    if (d.chance(0.2)) ++shape.head_dim;
    tokens = static_cast<u32>(d.between(8, 90));
    u32 const most = shape.head_dim / 2 * 2;
    u32 const turning = d.chance(0.5) ? most : 2 * static_cast<u32>(d.between(1, static_cast<int>(most / 2)));
    encoding = {d.chance(0.5) ? 1e4 : 50.0, d.chance(0.5) ? pairing::half_split : pairing::interleaved, turning};
    turns = {static_cast<int>(shape.head_dim), static_cast<int>(turning), encoding.pairs == pairing::interleaved, encoding.theta};
    auto const draw = [&](double mean) {
      numbers x;
      for (u32 i = 0; i < shape.head_dim; ++i) x.push_back(mean + d.uniform() * 3 - 1.5);
      return x;
    };
    asked.resize(shape.kv_heads);
    held.resize(shape.kv_heads);
    said.resize(shape.kv_heads);
    for (auto& head : asked) head.resize(shape.group);
    for (u32 t = 0; t < tokens; ++t) {
      std::vector<numbers> const r = turns.at(t);
      auto const put = [&](std::vector<float>& to, numbers const& x) {
        numbers stored;
        for (double const c : x) {
          to.push_back(static_cast<float>(c));
          stored.push_back(static_cast<double>(to.back()));
        }
        return stored;
      };
      for (u32 h = 0; h < shape.kv_heads; ++h) {
        held[h].push_back(put(keys, oracle::times(r, draw(0))));
        said[h].push_back(put(values, draw(0.2)));
        for (auto& of_group : asked[h]) {
          of_group.push_back(draw(0.5));
          put(queries, oracle::times(r, of_group.back()));
        }
      }
    }
  }
  arrivals view() const { return {queries.data(), keys.data(), values.data(), tokens}; }
};

template <class Cache>
std::string held_by(Cache const& cache, u32 head) {
  auto const row = cache.view().row(head);
  std::vector<int> list;
  for (u32 i = 0; i < row.state->held; ++i) list.push_back(static_cast<int>(row.positions[i]));
  std::sort(list.begin(), list.end());
  return support::listed(list);
}

}  // namespace

TEST_CASE("what queries to come can be expected to look at stays") {
  int compared = 0, close = 0;
  support::for_each_seed(120, [&](std::uint64_t seed) {
    encoded_prompt const p(seed);
    support::draws d(seed ^ 0x5eed);
    u32 const sinks = static_cast<u32>(d.between(0, 4)), budget = static_cast<u32>(d.between(static_cast<int>(sinks) + 1, static_cast<int>(p.tokens) - 1));
    u32 const future = d.chance(0.3) ? 1 : static_cast<u32>(d.between(2, 40));
    float const epsilon = d.chance(0.5) ? 0.0f : 0.01f;
    bool const covariance = d.chance(0.7);
    CAPTURE(p.shape.head_dim);
    CAPTURE(p.tokens);
    CAPTURE(budget);
    policy const chosen{uniform_budget{budget},
                        at_prompt_end(expected_mass{p.encoding, future, sinks, epsilon, covariance}, protect{.sinks = sinks}, pick::keepers)};
    kv_tensor rows{p.shape, chosen, {.max_piece = p.tokens}};
    kv_tensor pages{p.shape, chosen, {.max_piece = p.tokens, .group_threads = 3}, original_positions{}, dropped{}, in_pages{}};
    std::vector<float> out(p.queries.size());
    step(serial_executor{}, rows[0], p.view(), out.data());
    step(support::thread_group_executor{3}, pages[0], p.view(), out.data());
    for (u32 h = 0; h < p.shape.kv_heads; ++h) {
      CHECK(held_by(rows, h) == held_by(pages, h));
      numbers const scores = oracle::expected_attention(p.asked[h], p.held[h], p.said[h], p.turns, static_cast<int>(future), sinks,
                                                        static_cast<double>(epsilon), covariance);
      std::vector<oracle::candidate> all;
      double largest = 0;
      for (std::size_t j = 0; j < scores.size(); ++j) {
        all.push_back({scores[j], static_cast<int>(j + sinks)});
        largest = std::max(largest, scores[j]);
      }
      oracle::choice const goes = oracle::lowest(all, static_cast<int>(p.tokens - budget), oracle::ties::lowest_stays);
      if (goes.gap < 1e-4 * largest) {
        ++close;
        continue;
      }
      std::vector<int> want;
      for (int t = 0; t < static_cast<int>(p.tokens); ++t)
        if (std::find(goes.positions.begin(), goes.positions.end(), t) == goes.positions.end()) want.push_back(t);
      CHECK(held_by(rows, h) == support::listed(want));
      ++compared;
    }
  });
  CHECK(compared > 4 * close);
}

TEST_CASE("expected attention asks for queries and for encoded keys") {
  cache_shape const shape{1, 1, 1, 4, 1};
  std::vector<float> const x(4 * 9, 1.0f);
  auto const chosen = expected_attention(6, {}, 2);
  kv_tensor cache{shape, chosen, {.max_piece = 9}};
  CHECK_THROWS_WITH(compress(serial_executor{}, cache[0], x.data(), x.data(), 9),
                    "masses.queries is 0; a score of the policy reads the prompt's; give them");
  CHECK_NOTHROW(compress(serial_executor{}, cache[0], x.data(), x.data(), 6));  // what fits is not judged
  CHECK_THROWS_WITH((kv_tensor{shape, chosen, {.max_piece = 9}, in_cache_positions{}}),
                    "a score of the policy reads encoded queries and keys, and the position rule has them unrotated; take original_positions");
}
