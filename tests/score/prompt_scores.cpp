// Scores of the prompt compressors and the split of a layer, against vectors worked out outside this library.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <oracle/attention.hpp>
#include <oracle/rule.hpp>
#include <support/files.hpp>
#include <support/json_lite.hpp>
#include <support/listed.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

support::json const& recorded() {
  static support::json const all = support::parse_json(support::read_file(support::test_data() / "budget_vectors.json"));
  return all;
}

/// Positions that a head holds, ascending.
template <class Cache>
std::vector<int> held(Cache const& cache, u32 head = 0) {
  auto const row = cache.view().row(head);
  std::vector<int> list(row.positions.data(), row.positions + row.state->held);
  std::sort(list.begin(), list.end());
  return list;
}

/// What the vectors keep of positions 0 .. 9, and the window.
std::string with_window(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  kept.push_back(10);
  kept.push_back(11);
  return support::listed(kept);
}

std::vector<float> floats(support::json const& list) {
  std::vector<float> x;
  for (support::json const& item : list.items) x.push_back(static_cast<float>(item.value));
  return x;
}

}  // namespace

TEST_CASE("snapkv: one head of one component, by hand") {
  std::vector<float> const keys{0, 2, 0, 0, 1, 0, 0, 3, 0, 0, .5f, .25f};
  std::vector<float> queries(12, 0.0f), out(12);
  queries[10] = 1;
  queries[11] = 2;
  auto const kept = [&](u32 kernel, pooling pool) {
    kv_tensor cache{cache_shape{1, 1, 1, 1, 1}, snapkv(6, 2, kernel, pool), {.max_piece = 12}};
    step(serial_executor{}, cache[0], {queries.data(), keys.data(), keys.data(), 12}, out.data());
    return support::listed(held(cache));
  };
  CHECK(kept(1, pooling::max) == with_window(recorded()["V1.top4_nopool"].whole_numbers()));
  CHECK(kept(3, pooling::max) == with_window(recorded()["V1.top4_max"].whole_numbers()));
  CHECK(kept(3, pooling::avg) == with_window(recorded()["V1.top4_avg"].whole_numbers()));
}

TEST_CASE("snapkv: sums of two query heads, reduced before pooling") {
  std::vector<float> const x(12, 1.0f);
  for (char const* name : {"mean", "max", "sum"}) {
    CAPTURE(name);
    support::json const& v = recorded()[std::string("V1b.") + name];
    std::vector<float> mass = floats(v["reduced"]);
    mass.resize(12);
    kv_tensor cache{cache_shape{1, 1, 2, 1, 1}, snapkv(6, 2, 3), {.max_piece = 12}};
    compress(serial_executor{}, cache[0], x.data(), x.data(), 12, {.window = mass.data(), .pitch = 12});
    CHECK(support::listed(held(cache)) == with_window(v["top4"].whole_numbers()));
  }
}

TEST_CASE("ada_snapkv: four heads, by hand; exact where the published rounding loses slots") {
  // Pooled scores of six positions; the window is position 6.
  std::vector<float> const mass{.40f, .20f, .10f, .10f, .10f, .10f, 0, .90f, .02f, .02f, .02f, .02f, .02f, 0,
                                .30f, .30f, .20f, .10f, .05f, .05f, 0, .17f, .17f, .17f, .17f, .16f, .16f, 0};
  std::vector<float> const x(7 * 4, 1.0f);
  auto const slots = [&](double floor) {
    kv_tensor cache{cache_shape{1, 4, 1, 1, 1}, ada_snapkv(4, 1, 1, pooling::max, floor), {.max_piece = 7, .promised = 2}};
    compress(serial_executor{}, cache[0], x.data(), x.data(), 7, {.window = mass.data(), .pitch = 7});
    std::vector<int> cap;
    for (u32 h = 0; h < 4; ++h) {
      CHECK(cache.view().row(h).state->held == cache.view().row(h).state->limit);
      CHECK(cache.view().room(h) == cache.view().row(h).state->limit + 2);
      cap.push_back(static_cast<int>(cache.view().row(h).state->held) - 1);
    }
    return support::listed(cap);
  };
  CHECK(slots(0) == support::listed(recorded()["V3.B3_alpha0.0_normFalse"]["cap"].whole_numbers()));
  CHECK(slots(1) == support::listed(recorded()["V3.B3_alpha1.0_normFalse"]["cap"].whole_numbers()));
  CHECK(slots(.2) == "2 2 3 5");  // 2.2 1.4 3 5.4: published 2 1 2 5, two short
  CHECK(slots(.5) == "3 2 3 4");  // 2.5 2 3 4.5: published 2 2 2 4, two short
}

TEST_CASE("a score weighted by its slot's value, alone, pooled, and in decode") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    support::draws d(seed);
    oracle::trace const t = support::random_trace(d, support::random_shape(d));
    cache_shape const shape{1, static_cast<u32>(t.kv_heads), static_cast<u32>(t.group()), static_cast<u32>(t.dim), 1};
    int const n = t.tokens, w = std::min(4, n - 3), kernel = 3;
    float const epsilon = d.chance(0.5) ? 0.0f : 0.01f;
    int const budget = d.between(w + 1, n - 1);
    policy const inside{
        uniform_budget{static_cast<u32>(budget)},
        at_prompt_end(pooled{value_weighted{window_mass{static_cast<u32>(w)}, epsilon}, 3, pooling::max, static_cast<u32>(w)},
                      protect{.newest = static_cast<u32>(w)}, pick::keepers)};
    policy const outside{
        uniform_budget{static_cast<u32>(budget)},
        at_prompt_end(value_weighted{pooled{window_mass{static_cast<u32>(w)}, 3, pooling::max, static_cast<u32>(w)}, epsilon},
                      protect{.newest = static_cast<u32>(w)}, pick::keepers)};
    kv_tensor a{shape, inside, {.max_piece = static_cast<u32>(n)}};
    kv_tensor b{shape, outside, {.max_piece = static_cast<u32>(n)}};
    std::vector<float> out(static_cast<std::size_t>(n * t.query_heads * t.dim));
    arrivals const piece{t.query(0, 0), t.key(0, 0), t.value(0, 0), static_cast<u32>(n)};
    step(serial_executor{}, a[0], piece, out.data());
    step(serial_executor{}, b[0], piece, out.data());
    for (int h = 0; h < t.kv_heads; ++h) {
      int const past = n - w;
      std::vector<double> mass(static_cast<std::size_t>(past), 0.0), norm(mass), weighted(mass), pooled_first(mass), pooled_last(mass);
      for (int token = past; token < n; ++token) {
        std::vector<int> seen;
        for (int p = 0; p <= token; ++p) seen.push_back(p);
        std::vector<double> const row = oracle::group_row(t, token, h, seen);
        for (std::size_t j = 0; j < mass.size(); ++j) mass[j] += row[j];
      }
      for (int j = 0; j < past; ++j)
        for (int i = 0; i < t.dim; ++i) norm[static_cast<std::size_t>(j)] += std::fabs(static_cast<double>(t.value(j, h)[i]));
      double const e = static_cast<double>(epsilon);
      for (std::size_t j = 0; j < mass.size(); ++j) weighted[j] = (mass[j] + e) * norm[j];
      for (int j = 0; j < past; ++j) {
        double first = 0, last = 0;
        for (int k = std::max(0, j - kernel / 2); k <= std::min(past - 1, j + kernel / 2); ++k) {
          first = std::fmax(first, mass[static_cast<std::size_t>(k)]);
          last = std::fmax(last, weighted[static_cast<std::size_t>(k)]);
        }
        pooled_first[static_cast<std::size_t>(j)] = (first + e) * norm[static_cast<std::size_t>(j)];
        pooled_last[static_cast<std::size_t>(j)] = last;
      }
      auto const keeps = [&](std::vector<double> const& score, std::vector<int> const& got) {
        std::vector<oracle::candidate> all;
        for (int j = 0; j < past; ++j) all.push_back({score[static_cast<std::size_t>(j)], j});
        oracle::choice const goes = oracle::lowest(all, n - budget, oracle::ties::lowest_stays);
        if (goes.gap < 1e-5) return;  // too close for floats
        std::vector<int> want;
        for (int p = 0; p < n; ++p)
          if (std::find(goes.positions.begin(), goes.positions.end(), p) == goes.positions.end()) want.push_back(p);
        CHECK(support::listed(got) == support::listed(want));
      };
      keeps(pooled_last, held(a, static_cast<u32>(h)));
      keeps(pooled_first, held(b, static_cast<u32>(h)));
    }
  });
  // In decode: legal, unless it looks at neighbours.
  auto const rule = over_budget(value_weighted{accumulated_attention{}}, protect{.newest = 1});
  CHECK(policy{uniform_budget{4}, rule}.columns().bytes_per_slot() == 8);
}

TEST_CASE("a score that reads keys is asked at the end of a prompt alone") {
  cache_shape const shape{1, 1, 1, 4, 1};
  auto const late = policy{uniform_budget{4}, over_budget(key_difference{}, protect{})};
  CHECK_THROWS_WITH((kv_tensor{shape, late, {}}),
                    "rules that read keys elsewhere than at prompt_end is 1; keys are at hand at prompt_end only; ask such a score there alone");
  CHECK_NOTHROW((kv_tensor{shape, keydiff(4), {.max_piece = 9}}));
}
