// hybrid: what heads choose, keep and let go, against its definition and against the recorded example of specs.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/named.hpp>
#include <oracle/by_recipe.hpp>
#include <support/listed.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

recipe_list recipes_of(oracle::hybrid const& p) {
  recipe_list list;
  for (oracle::ingredients const& r : p.recipes)
    list.add({(r.special ? 1u : 0u) | (r.punctuation ? 2u : 0u), r.window, r.heavy, r.everything});
  return list;
}

std::vector<int> held_by(auto const& cache, u32 r) {
  auto const row = cache.view().row(r);
  std::vector<int> positions;
  for (u32 i = 0; i < row.state->held; ++i) positions.push_back(static_cast<int>(row.positions[i]));
  std::sort(positions.begin(), positions.end());
  return positions;
}

}  // namespace

TEST_CASE("the recorded example: scores, choices and what is kept") {
  // Ids 100 1 2 7 3 4 7 5, special 100, punctuation 7; four heads of given attention.
  std::vector<std::uint8_t> const kinds{1, 0, 0, 2, 0, 0, 2, 0};
  auto const weight = [](u32 h, u32 i, u32 j) {
    if (h == 0) return j == 0 ? 9.0 : 1.0;
    if (h == 1) return std::pow(2.0, static_cast<double>(j) - i);
    if (h == 2) return j == 0 ? 4.0 : j == 2 ? 6.0 : 1.0;
    return 1.0;
  };
  std::vector<oracle::attention_map> maps(4);
  std::vector<float> sum(4 * 8), young(4 * 8);
  for (u32 h = 0; h < 4; ++h)
    for (u32 i = 0; i < 8; ++i) {
      std::vector<double> row(i + 1);
      for (u32 j = 0; j <= i; ++j) row[j] = weight(h, i, j);
      double const total = std::accumulate(row.begin(), row.end(), 0.0);
      for (u32 j = 0; j <= i; ++j) {
        row[j] /= total;
        sum[h * 8 + j] += static_cast<float>(row[j]);
        if (i - j < 2) young[h * 8 + j] += static_cast<float>(row[j]);
      }
      maps[h].push_back(row);
    }
  oracle::hybrid p;
  p.recipes = {{.special = true},
               {.special = true, .punctuation = true},
               {.special = true, .punctuation = true, .heavy = 0.25},
               {.special = true, .punctuation = true, .window = 0.25, .heavy = 0.25},
               {.everything = true}};
  p.length = 12;
  std::vector<int> const kinds_of(kinds.begin(), kinds.end());
  double const scores[4][4] = {{.7457, .8070, .9324, .9760}, {.2003, .4213, .5947, .9384}, {.4509, .5121, .9324, .9760}, {.3397, .4838, .8507, .9509}};
  for (std::size_t h = 0; h < 4; ++h)
    for (std::size_t r = 0; r < 4; ++r) {
      double gap = 1;
      CHECK(std::fabs(oracle::recovered(p, p.recipes[r], maps[h], kinds_of, gap) - scores[h][r]) < 6e-5);
    }

  struct expected {
    double recovery;
    u32 choices[4];
    std::vector<std::vector<int>> kept;
  };
  std::vector<expected> const wanted{
      {.5, {0, 2, 1, 2}, {{0}, {0, 3, 4, 5, 6, 7}, {0, 3, 6}, {0, 1, 2, 3, 4, 6}}},
      {.75, {1, 3, 2, 2}, {{0, 3, 6}, {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 6}, {0, 1, 2, 3, 4, 6}}},
      {.9, {2, 3, 2, 3}, {{0, 1, 2, 3, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 7}}}};
  cache_shape const shape{1, 4, 1, 4, 1};
  std::vector<float> const vectors(8 * 4 * 4, 0.5f);
  for (expected const& e : wanted) {
    CAPTURE(e.recovery);
    kv_tensor cache{shape, hybrid(recipes_of(p), e.recovery, 1, 1, 12), {.capacity = 12, .max_piece = 8}};
    compress(serial_executor{}, cache[0], vectors.data(), vectors.data(), 8, {.sum = sum.data(), .pitch = 8, .young = young.data()}, kinds.data());
    p.recovery = e.recovery;
    for (u32 h = 0; h < 4; ++h) {
      CHECK(cache.view().states[h].choice == e.choices[h] + 1);
      CHECK(held_by(cache, h) == e.kept[h]);
      CHECK(oracle::choose_recipe(p, maps[h], kinds_of).chosen == e.choices[h]);
    }
  }
}

namespace {

struct recipe_case {
  oracle::trace trace;
  oracle::hybrid policy;
  std::vector<int> kinds;
  std::vector<std::uint8_t> bytes;
  u32 prompt = 0;
};

recipe_case random_recipes(std::uint64_t seed) {
  support::draws d(seed);
  recipe_case c;
  support::trace_shape drawn = support::random_shape(d);
  c.trace = support::random_trace(d, drawn);
  c.prompt = static_cast<u32>(d.between(2, c.trace.tokens));
  for (int i = 0; i < c.trace.tokens; ++i) {
    c.kinds.push_back(d.chance(0.2) ? static_cast<int>(d.between(1, 3)) : 0);
    c.bytes.push_back(static_cast<std::uint8_t>(c.kinds.back()));
  }
  double const window = d.between(1, 10) / 20.0;
  std::size_t const count = static_cast<std::size_t>(d.between(1, 5));
  for (std::size_t i = 0; i < count; ++i)
    c.policy.recipes.push_back({d.chance(0.5), d.chance(0.5), i + 1 == count && d.chance(0.5), d.chance(0.5) ? window : 0,
                                d.chance(0.5) ? d.between(1, 10) / 16.0 : 0});
  c.policy.recovery = d.between(5, 20) / 20.0;
  c.policy.sinks = static_cast<int>(d.between(1, 4));
  c.policy.length = d.chance(0.3) ? c.trace.tokens : 0;
  c.policy.history = d.chance(0.5) ? 3 : 1;
  return c;
}

/// Runs the library beside the oracle until a comparison is too close for float32; how many steps agreed.
template <class Executor, class Cache>
int agree(Executor const& on, Cache& cache, recipe_case const& c) {
  oracle::trace const& t = c.trace;
  std::size_t const width = static_cast<std::size_t>(t.query_heads) * static_cast<std::size_t>(t.dim);
  std::vector<float> out(c.prompt * width);
  step(on, cache[0], {t.query(0, 0), t.key(0, 0), t.value(0, 0), c.prompt, true, 0, c.bytes.data()}, out.data());
  evict(on, cache);
  std::vector<oracle::recipe_head> heads;
  int agreed = 0;
  double gap = oracle::no_gap;
  auto const look = [&] {
    for (oracle::recipe_head const& head : heads) gap = std::fmin(gap, head.gap);
    if (gap < 1e-4) return false;
    for (u32 h = 0; h < heads.size(); ++h) {
      CAPTURE(h);
      REQUIRE(cache.view().states[h].choice == heads[h].chosen + 1);
      std::vector<int> wanted;
      for (oracle::slot const& s : heads[h].slots) wanted.push_back(s.position);
      REQUIRE(support::listed(held_by(cache, h)) == support::listed(wanted));
    }
    ++agreed;
    return true;
  };
  for (int h = 0; h < t.kv_heads; ++h) {
    oracle::attention_map map;
    std::vector<int> seen;
    for (int i = 0; i < static_cast<int>(c.prompt); ++i) {
      seen.push_back(i);
      map.push_back(oracle::group_row(t, i, h, seen));
    }
    heads.push_back(oracle::choose_recipe(c.policy, map, c.kinds));
  }
  if (!look()) return agreed;
  for (int token = static_cast<int>(c.prompt); token < t.tokens; ++token) {
    step(on, cache[0], {t.query(token, 0), t.key(token, 0), t.value(token, 0), 1, false, 0, &c.bytes[static_cast<std::size_t>(token)]}, out.data());
    evict(on, cache);
    for (int h = 0; h < t.kv_heads; ++h)
      oracle::decode_by_recipe(c.policy, heads[static_cast<std::size_t>(h)], t, h, token, static_cast<int>(c.prompt), c.kinds);
    if (!look()) return agreed;
  }
  return agreed;
}

}  // namespace

TEST_CASE("heads choose, keep and let go as the definition says") {
  int agreed = 0;
  support::for_each_seed(150, [&](std::uint64_t seed) {
    recipe_case const c = random_recipes(seed);
    CAPTURE(c.prompt);
    CAPTURE(c.trace.tokens);
    cache_shape const shape{1, static_cast<u32>(c.trace.kv_heads), static_cast<u32>(c.trace.group()), static_cast<u32>(c.trace.dim), 1};
    auto const policy = hybrid(recipes_of(c.policy), c.policy.recovery, static_cast<u32>(c.policy.sinks),
                               static_cast<u32>(c.policy.history), static_cast<u32>(c.policy.length));
    cache_options options{.capacity = static_cast<u32>(c.trace.tokens), .max_piece = c.prompt};
    kv_tensor typed{shape, policy, options};
    agreed += agree(serial_executor{}, typed, c);
    kv_tensor<any_policy, fp32_payload, original_positions, dropped, in_pages> paged{shape, to_any(policy), options};
    CHECK(policy.carried().bytes_per_slot() == 1 + 4 * static_cast<std::size_t>(c.policy.history));  // kinds and observations alone
    CHECK(typed.bytes().columns == shape.rows() * std::size_t{options.capacity} * policy.carried().bytes_per_slot());
    agree(serial_executor{}, paged, c);
    if (seed % 8 != 0) return;
    options.group_threads = 3;
    options.order = layout::dense;
    kv_tensor blocks{shape, to_any(policy), options};
    agree(support::thread_group_executor{3}, blocks, c);
  });
  MESSAGE(agreed, " steps agreed");
  CHECK(agreed > support::often(1000));
}
