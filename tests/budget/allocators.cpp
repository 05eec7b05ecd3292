// What budgets promise: their sums, and the published rounding of their originals.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/budget/duo_attention.hpp>
#include <kvsift/budget/head_scores.hpp>
#include <kvsift/budget/layer_pattern.hpp>
#include <kvsift/budget/pyramid.hpp>
#include <kvsift/budget/ratio.hpp>
#include <reference_model/shared_data.hpp>
#include <support/files.hpp>
#include <support/json_lite.hpp>
#include <support/listed.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;
using slots_type = std::vector<u32>;

std::uint64_t sum(slots_type const& s) { return std::accumulate(s.begin(), s.end(), std::uint64_t{0}); }
std::uint64_t weighted(slots_type const& s) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < s.size(); ++i) total += (i + 1) * s[i];
  return total;
}
slots_type less(slots_type s, u32 window) {
  for (u32& x : s) x -= window;
  return s;
}
std::vector<int> row(slots_type const& s, std::size_t first, std::size_t count) {
  return {s.begin() + static_cast<std::ptrdiff_t>(first), s.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

support::json const& recorded() {
  static support::json const all = support::parse_json(support::read_file(support::test_data() / "budget_vectors.json"));
  return all;
}

/// The lines of a table, split at tabs.
std::vector<std::vector<std::string>> table(std::filesystem::path const& path) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream cells(line);
    lines.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');) lines.back().push_back(cell);
  }
  return lines;
}

std::vector<double> headkv_scores(std::filesystem::path const& path) {
  std::vector<double> scores;
  for (auto const& line : table(path))
    if (line[0] != "layer") scores.push_back(std::stod(line[3]));
  return scores;
}

std::vector<double> cokv_values(std::filesystem::path const& path, std::string const& task) {
  for (auto const& line : table(path)) {
    if (line[0] != task) continue;
    std::vector<double> values;
    for (std::size_t i = 1; i < line.size(); ++i) values.push_back(std::stod(line[i]));
    return values;
  }
  return {};
}

}  // namespace

TEST_CASE("largest remainders: the whole parts, then one each by remainder, the lower index first") {
  CHECK(largest_remainders({1.5, 2.25, 0.25}, 4) == slots_type{2, 2, 0});
  CHECK(largest_remainders({1.5, 1.5, 1.0}, 4) == slots_type{2, 1, 1});
  CHECK(largest_remainders({0.1 + 0.2, 2.7}, 3) == slots_type{0, 3});
  CHECK(largest_remainders({2.9999999999, 1.0}, 4) == slots_type{3, 1});  // rounding in a share decides nothing
  CHECK(largest_remainders({3.5, 3.5}, 7, 3) == slots_type{3, 3});
}

TEST_CASE("what a bound cuts off flows on to the heads below it") {
  CHECK(apportion({1, 1, 2}, 8) == slots_type{2, 2, 4});
  CHECK(apportion({1, 1, 8}, 10, 0, 4) == slots_type{3, 3, 4});
  CHECK(apportion({1, 3, 8}, 12, 1, 5) == slots_type{2, 5, 5});  // the bound takes 5; of the other 7 each has 1, and 5 go 1 : 3
  CHECK(apportion({0, 0, 1}, 9, 1, 4) == slots_type{3, 2, 4});   // nobody below has a weight: evenly
  CHECK(apportion({1, 2}, 100, 0, 7) == slots_type{7, 7});
  CHECK(apportion({}, 0).empty());
  support::for_each_seed(300, [](std::uint64_t seed) {
    support::draws d(seed);
    std::vector<double> weights(static_cast<std::size_t>(d.between(1, 40)));
    for (double& w : weights) w = d.chance(0.2) ? 0 : std::pow(d.uniform(), 4) * 10;
    u32 const mean = static_cast<u32>(d.between(1, 60)), most = mean + static_cast<u32>(d.between(0, 80));
    double const base = d.chance(0.5) ? 0 : d.uniform() * mean;
    std::uint64_t const total = std::uint64_t{mean} * weights.size();
    slots_type const got = apportion(weights, total, base, most);
    REQUIRE(got.size() == weights.size());
    CHECK(sum(got) == std::min<std::uint64_t>(total, std::uint64_t{most} * weights.size()));
    // One level of water: every head that is not full stands at base + weight x level, to within the one slot of rounding.
    double level = 0;
    for (double step = 1e7; step > 1e-9; step /= 2) {
      double poured = 0;
      for (double const w : weights) poured += std::min<double>(most, base + w * (level + step));
      if (poured <= static_cast<double>(total)) level += step;
    }
    bool const any = std::any_of(weights.begin(), weights.end(), [](double w) { return w > 0; });
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i] <= most);
      CHECK(got[i] + 1.0 > base);
      double const want = std::min<double>(most, base + weights[i] * level);
      if (any && level < 1e6) CHECK(std::fabs(got[i] - want) < 1.001);
    }
  });
}

TEST_CASE("every allocator sums to exactly what it promised") {
  support::for_each_seed(200, [](std::uint64_t seed) {
    support::draws d(seed);
    cache_shape const shape{static_cast<u32>(d.between(1, 40)), static_cast<u32>(d.between(1, 8)), static_cast<u32>(d.between(1, 4)), 8, 1};
    u32 const window = static_cast<u32>(d.between(1, 32)), slots = window + static_cast<u32>(d.between(1, 500));
    u32 const longest = d.chance(0.5) ? 0 : slots + static_cast<u32>(d.between(0, 600));
    std::size_t const heads = std::size_t{shape.layers} * shape.kv_heads;
    std::uint64_t const promised = std::uint64_t{slots} * heads;
    CAPTURE(slots);
    CAPTURE(window);
    CAPTURE(longest);
    auto const holds = [&](slots_type const& got) {
      REQUIRE(got.size() == heads);
      CHECK(sum(got) == promised);
      for (u32 const s : got) CHECK(s >= window);
      for (u32 const s : got) CHECK((longest == 0 || s <= longest));
    };
    std::vector<double> scores(heads * shape.group), values(heads);
    for (double& s : scores) s = std::pow(d.uniform(), 6) + 1e-9;
    for (double& v : values) v = d.normal();
    head_share const share{slots, window, longest};
    holds(headkv_slots(shape, scores, share, 1.0 + d.uniform() * d.uniform() * 9));
    holds(headkv_slots(shape, scores, share, 1.2, 0.5 + d.uniform()));
    if (heads > 1) holds(cokv_slots(shape, values, share, static_cast<u32>(d.between(1, static_cast<int>(heads) - 1))));

    slots_type by_head;
    pyramid_budget const pyramid{slots, window, static_cast<u32>(d.between(1, 30)), longest};
    for (u32 l = 0; l < shape.layers; ++l)
      for (u32 h = 0; h < shape.kv_heads; ++h) by_head.push_back(pyramid.limit(shape, l, h));
    holds(by_head);
    for (u32 l = 1; l < shape.layers; ++l) CHECK(pyramid.limit(shape, l, 0) <= pyramid.limit(shape, l - 1, 0));
  });
  CHECK(ratio_budget{0.25, 1000}.limit({}, 0, 0) == 250);
  CHECK(ratio_budget{0.07, 100}.limit({}, 0, 0) == 7);  // 0.07 x 100 is not quite 7 in binary
  CHECK(ratio_budget{0.001, 100, 4}.limit({}, 0, 0) == 4);
}

TEST_CASE("cold-compress's funnel: its recorded lengths, and its refusals") {
  using list = std::vector<u32>;
  CHECK(funnel_slots(8, 1024, 8192) == list{256, 295, 543, 791, 1039, 1287, 1535, 2023});
  CHECK(funnel_slots(32, 1024, 8192) == list{256, 256, 256, 256, 308, 372, 436, 500, 556, 620, 684, 740, 804, 868, 932, 988,
                                             1052, 1116, 1172, 1236, 1300, 1364, 1420, 1484, 1548, 1604, 1668, 1732, 1796, 1852, 1916, 2036});
  CHECK(funnel_slots(8, 256, 4096) == list{256, 256, 256, 256, 256, 256, 256, 370});
  CHECK(funnel_slots(8, 64) == list{64, 64, 64, 64, 64, 64, 72, 96});
  CHECK(funnel_slots(8, 1024, 1500) == list{256, 295, 543, 791, 1039, 1287, 1475, 1475});  // none of more use than 1500
  CHECK(funnel_slots(1, 64) == list{64});
  CHECK_THROWS_WITH(funnel_slots(8, 7), "budget is 7; give a funnel at least 8 slots");
  CHECK_THROWS_WITH(funnel_slots(8, 64, 64), "budget is 64; leaves the first and the last layer alike; give another or fewer layers");
  CHECK_THROWS_WITH(funnel_slots(8, 65, 64), "budget is 65; exceeds the longest sequence; give less");
}

TEST_CASE("pyramid, as published") {
  int seen = 0;
  for (auto const& [key, v] : recorded().fields) {
    std::string const name = key;  // clang 14 captures no binding
    int c = 0, w = 0, layers = 0, n = 0;
    if (std::sscanf(name.c_str(), "V2.C%d_w%d_L%d_n%d", &c, &w, &layers, &n) != 4) continue;
    CAPTURE(name);
    pyramid_budget p{static_cast<u32>(c), static_cast<u32>(w), 20, static_cast<u32>(n), profile::published};
    slots_type const got = less(p.by_layer(static_cast<u32>(layers)), p.window);
    CHECK(support::listed(row(got, 0, 3)) == support::listed(v["first"].whole_numbers()));
    CHECK(support::listed(row(got, got.size() - 3, 3)) == support::listed(v["last"].whole_numbers()));
    CHECK(static_cast<long long>(sum(got)) == v["sum"].whole());
    p.rounding = profile::exact;
    CHECK(static_cast<long long>(sum(less(p.by_layer(static_cast<u32>(layers)), p.window))) == v["uniform_sum"].whole());
    ++seen;
  }
  CHECK(seen == 7);
}

TEST_CASE("HeadKV, as published: the toy") {
  cache_shape const toy{2, 4, 1, 8, 1};
  std::vector<double> const means{0, .1, .4, 0, .2, .1, .1, .1};
  int seen = 0;
  for (auto const& [key, v] : recorded().fields) {
    std::string const name = key;  // clang 14 captures no binding
    if (name.rfind("V4.toy_beta", 0) != 0) continue;
    CAPTURE(name);
    double const beta = std::stod(name.substr(11));
    slots_type const got = less(headkv_slots(toy, means, {128, 8}, beta, 1, profile::published), 8);
    CHECK(support::listed(row(got, 0, 8)) == support::listed(v["cap"].whole_numbers()));
    CHECK(sum(headkv_slots(toy, means, {128, 8}, beta)) == 8 * 128);
    ++seen;
  }
  CHECK(seen == 8);
}

TEST_CASE("HeadKV, as published: the scores of two models") {
  for (auto const& [model, file] :
       {std::pair{"llama3", "llama3_8b_instruct_r2_mean.tsv"}, {"mistral", "mistral_7b_instruct_v02_r2_mean.tsv"}}) {
    auto const path = shared_file("data/head_scores/headkv") / file;
    NEEDS_SHARED(path);
    std::vector<double> const scores = headkv_scores(path);
    cache_shape const query_heads{32, 32, 1, 8, 1}, grouped{32, 8, 4, 8, 1};
    std::string const prefix = std::string("V4.") + model + "_";
    int seen = 0;
    for (auto const& [key, v] : recorded().fields) {
    std::string const name = key;  // clang 14 captures no binding
      int c = 0;
      double beta = 0;
      if (name.rfind(prefix + "C", 0) != 0 || std::sscanf(name.c_str() + prefix.size(), "C%d_beta%lf", &c, &beta) != 2) continue;
      CAPTURE(name);
      slots_type const got = less(headkv_slots(query_heads, scores, {static_cast<u32>(c), 8}, beta, 1, profile::published), 8);
      CHECK(static_cast<long long>(sum(got)) == v["sum"].whole());
      CHECK(static_cast<long long>(weighted(got)) == v["wsum"].whole());
      CHECK(support::listed(row(got, 15 * 32, 32)) == support::listed(v["row15"].whole_numbers()));
      CHECK(sum(headkv_slots(query_heads, scores, {static_cast<u32>(c), 8}, beta)) == 1024u * static_cast<u32>(c));
      ++seen;
    }
    CHECK(seen == 4);
    // KVCache-Factory splits the whole budget, window included, and adds the window again.
    support::json const& all = recorded()[prefix + "KVCF_C128_beta1.01"];
    slots_type const whole = headkv_slots(query_heads, scores, {128, 0}, 1.01, 1, profile::published);
    CHECK(static_cast<long long>(sum(whole)) == all["sum"].whole());
    CHECK(*std::max_element(whole.begin(), whole.end()) == all["max"].whole());
    support::json const& by_kv_head = recorded()[prefix + "KVCF_kvhead"];
    slots_type const reduced = headkv_slots(grouped, scores, {128, 0}, 1.01, 1, profile::published);
    CHECK(static_cast<long long>(sum(reduced)) == by_kv_head["sum"].whole());
    CHECK(support::listed(row(reduced, 15 * 8, 8)) == support::listed(by_kv_head["row15"].whole_numbers()));
    // CoKV's form of it cuts off fractions of the same shares: ours are as close to them, and lose nothing.
    slots_type const exact = less(headkv_slots(grouped, scores, {128, 8}, 1.01), 8);
    std::vector<int> const cut = recorded()[prefix + "CoKVgroup_C128_beta1.01"]["row15"].whole_numbers();
    for (std::size_t i = 0; i < 8; ++i)
      CHECK((exact[15 * 8 + i] == static_cast<u32>(cut[i]) || exact[15 * 8 + i] == static_cast<u32>(cut[i]) + 1));
  }
}

TEST_CASE("CoKV, as published") {
  cache_shape const toy{1, 4, 1, 8, 1};
  std::vector<double> const values{.10, -.05, .25, 0};
  for (u32 k : {1u, 2u, 3u}) {
    slots_type const got = less(cokv_slots(toy, values, {128, 8}, k, profile::published), 8);
    CHECK(support::listed(row(got, 0, 4)) == support::listed(recorded()["V5.toy_k" + std::to_string(k)]["cap"].whole_numbers()));
    CHECK(sum(cokv_slots(toy, values, {128, 8}, k)) == 4 * 128);
  }
}

TEST_CASE("CoKV, as published: the values of two models") {
  int seen = 0;
  for (auto const& [key, v] : recorded().fields) {
    std::string const name = key;  // clang 14 captures no binding
    char model[16], task[32];
    int c = 0, k = 0;
    if (std::sscanf(name.c_str(), "V5.%15[a-z]_%31[a-z]_C%d_k%d", model, task, &c, &k) != 4) continue;
    CAPTURE(name);
    bool const llama = std::string(model) == "llama";
    auto const path = shared_file("data/head_scores/cokv") / (llama ? "llama3_8b_instruct_ssv.tsv" : "mistral_7b_instruct_v02_ssv.tsv");
    NEEDS_SHARED(path);
    std::vector<double> const values = cokv_values(path, task);
    REQUIRE(values.size() == 256);
    cache_shape const shape{32, 8, 4, 8, 1};
    head_share const share{static_cast<u32>(c), 8};
    slots_type const got = less(cokv_slots(shape, values, share, static_cast<u32>(k), profile::published), 8);
    CHECK(static_cast<long long>(sum(got)) == v["sum"].whole());
    CHECK(static_cast<long long>(weighted(got)) == v["wsum"].whole());
    CHECK(support::listed(row(got, 0, 8)) == support::listed(v["layer0"].whole_numbers()));
    CHECK(support::listed(row(got, 31 * 8, 8)) == support::listed(v["layer31"].whole_numbers()));
    CHECK(static_cast<long long>(std::count(got.begin(), got.end(), 0u)) == v["zeros"].whole());
    CHECK(static_cast<long long>(sum(less(cokv_slots(shape, values, share, static_cast<u32>(k)), 8))) == v["target"].whole());
    ++seen;
  }
  CHECK(seen >= 15);
}

TEST_CASE("DuoAttention: which heads retrieve") {
  std::vector<double> const gates{1.2, .9, .1, -.3, .5, 1.0, 0, .7};
  int seen = 0;
  for (auto const& [key, v] : recorded().fields) {
    std::string const name = key;  // clang 14 captures no binding
    if (name.rfind("V8.sparsity", 0) != 0) continue;
    CAPTURE(name);
    std::vector<bool> const got = retrieval_heads(gates, std::stod(name.substr(11)));
    for (std::size_t i = 0; i < 8; ++i) CHECK(got[i] == (v["mask"][i / 4][i % 4].whole() == 1));
    ++seen;
  }
  CHECK(seen == 5);
  slots_type const slots = duo_attention_slots(retrieval_heads(gates, .5), 4, 12);
  CHECK(slots == slots_type{no_limit, no_limit, 16, 16, 16, no_limit, 16, no_limit});
}

TEST_CASE("budgets that cannot be are refused in one line") {
  cache_shape const shape{1, 2, 2, 8, 1};
  CHECK_THROWS_WITH(headkv_slots(shape, {1, 2, 3}, {16, 8}), "head scores is 3; give one for each query head of each layer");
  CHECK_THROWS_WITH(headkv_slots(shape, {1, 2, 3, -1}, {16, 8}), doctest::Contains("head score is -1"));
  CHECK_THROWS_WITH(headkv_slots(shape, {0, 0, 0, 0}, {16, 8}), doctest::Contains("some head needs a score above 0"));
  CHECK_THROWS_WITH(headkv_slots(shape, {1, 2, 3, 4}, {8, 8}), "window is 8; must leave room below the budget; give a shorter window");
  CHECK_THROWS_WITH(cokv_slots(shape, {1, 2}, {16, 8}, 2), "border is 2; give the rank of a head among all of them, from 1");
  CHECK_THROWS_WITH((pyramid_budget{16, 8, 0}.limit(shape, 0, 0)), "beta is 0; give at least 1");
}
