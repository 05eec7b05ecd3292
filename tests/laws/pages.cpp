// A cache in pages is the cache in rows: outputs, columns, decisions and the order of slots, bit for bit, wherever the pages lie.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// Runs a scenario with garbage in whatever is undefined, and the pages dealt out anew between pieces.
laws::history run_scattered(support::any_executor const& on, laws::engine& cache, laws::scenario const& s, std::uint64_t seed) {
  laws::history h;
  u32 seen = 0;
  for (u32 const tokens : s.pieces) {
    cache.poison();
    laws::feed(on, cache, s.data, seen, tokens, h.out);
    REQUIRE(cache.misplaced() == "");
    cache.scatter(seed + seen);
    REQUIRE(cache.misplaced() == "");
    h.after.push_back(cache.look());
    seen += tokens;
  }
  return h;
}

/// Limits of one to four pages, some of them whole pages; some policies with a budget for each head.
struct large_rows {
  laws::scenario s;
  kvsift::any_policy policy;
};
large_rows random_rows(std::uint64_t seed, bool even_dim = false) {
  laws::scenario s = laws::random_scenario(seed, 40, even_dim);
  support::draws d(seed + 31);
  auto const between = [&](u32 low, u32 high) { return static_cast<u32>(d.between(static_cast<int>(low), static_cast<int>(high))); };
  u32 const least = s.policy.limit;
  s.policy.limit = d.chance(0.4) ? 32 * between(1, 3) : least + between(20, 70);
  s.pieces = {d.chance(0.5) ? s.policy.limit + between(1, 60) : between(1, s.policy.limit)};
  if (s.policy.at(kvsift::moment::prompt_end) == nullptr) s.pieces[0] = std::min(s.pieces[0], s.policy.limit);
  while (s.pieces.size() < 45) s.pieces.push_back(1);
  kvsift::any_policy policy = s.policy.value();
  if (!s.policy.shared && d.chance(0.5)) {
    std::vector<u32> limits;
    for (u32 i = 0; i < s.shape.layers * s.shape.kv_heads; ++i) limits.push_back(s.policy.limit + (d.chance(0.3) ? 0 : between(0, 40)));
    policy = kvsift::to_any(kvsift::policy{kvsift::head_budgets{limits}, s.policy.first, s.policy.second});
  }
  return {s, policy};
}

}  // namespace

TEST_CASE("random policies, uniform and by head: pages are rows, on every executor") {
  kvsift::parallel_executor const pool(3);
  support::for_each_seed(60, [&](std::uint64_t seed) {
    large_rows const c = random_rows(seed);
    INFO(c.s.text());
    auto const rows = laws::make_engine(c.s.shape, c.policy, c.s.options());
    laws::history const want = laws::run({}, *rows, c.s);
    u32 const threads = seed % 10 == 0 ? 5 : 1;
    support::any_executor const on = threads > 1 ? support::any_executor{support::thread_group_executor{threads}}
                                     : seed % 2 == 0 ? support::any_executor{pool} : support::any_executor{};
    auto const pages = laws::make_paged_engine(c.s.shape, c.policy, c.s.options(threads));
    REQUIRE(laws::difference(run_scattered(on, *pages, c.s, seed), want) == "");
    pages->clear();
    REQUIRE(pages->misplaced() == "");
    REQUIRE(laws::difference(run_scattered(on, *pages, c.s, seed), want) == "");
  });
}

TEST_CASE("ranks move with their pages, and keys are turned to them") {
  support::for_each_seed(25, [](std::uint64_t seed) {
    large_rows const c = random_rows(seed, true);
    INFO(c.s.text());
    auto const rows = laws::make_ranked_engine(c.s.shape, c.policy, c.s.options(), {});
    auto const pages = laws::make_paged_ranked_engine(c.s.shape, c.policy, c.s.options(), {});
    REQUIRE(laws::difference(run_scattered({}, *pages, c.s, seed), laws::run({}, *rows, c.s)) == "");
  });
}

TEST_CASE("every named policy on every layout") {
  kvsift::cache_shape const shape{2, 2, 2, 9, 1};
  for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense})
    for (u32 const prompt : {20u, 100u})
      for (support::named_policy const& p : support::named_policies(64)) {
        if (prompt == 20 && support::fewer() > 1) continue;
        CAPTURE(p.name);
        laws::scenario s;
        s.shape = shape;
        s.order = order;
        s.pieces = {prompt, 3, 1, 1, 1};
        while (s.pieces.size() < 60) s.pieces.push_back(1);
        s.data = {7, shape};
        kvsift::cache_options options = s.options();
        options.capacity = 170;
        options.promised = 70;
        auto const rows = laws::make_engine(shape, p.value, options);
        auto const pages = laws::make_paged_engine(shape, p.value, options);
        CHECK(laws::difference(run_scattered({}, *pages, s, prompt), laws::run({}, *rows, s)) == "");
      }
}

TEST_CASE("policies at their own type, in pages") {
  kvsift::cache_shape const shape{1, 2, 3, 12, 1};
  laws::scenario s;
  s.shape = shape;
  s.pieces = {90};
  while (s.pieces.size() < 50) s.pieces.push_back(1);
  s.data = {5, shape};
  auto const agrees = [&](auto const& policy) {
    using payload = kvsift::fp16_payload;
    using kvsift::original_positions, kvsift::serial_executor;
    auto const rows = laws::engine_for<serial_executor, payload>(shape, policy, s.options());
    auto const pages = laws::engine_for<serial_executor, payload, original_positions, kvsift::in_pages>(shape, policy, s.options());
    CHECK(laws::difference(run_scattered({}, *pages, s, 1), laws::run({}, *rows, s)) == "");
  };
  agrees(kvsift::roco(64, 9, 10));
  agrees(kvsift::heavy_hitter(70, 4, 10, 7, true));
}

TEST_CASE("heads that compete for their layer's slots take the pages that they win") {
  int uneven = 0;
  support::for_each_seed(40, [&](std::uint64_t seed) {
    support::draws d(seed);
    laws::scenario s = laws::random_scenario(seed);
    s.shape.kv_heads = s.data.shape.kv_heads = static_cast<u32>(d.between(2, 4));
    u32 const limit = static_cast<u32>(d.between(33, 80));
    s.pieces = {limit + static_cast<u32>(d.between(1, 100))};
    while (s.pieces.size() < 30) s.pieces.push_back(1);
    kvsift::any_rule decode;
    decode.when = d.chance(0.3) ? kvsift::moment{} : d.chance(0.5) ? kvsift::moment::before_append : kvsift::moment::after_attention;
    decode.score = kvsift::oldest_first{};
    kvsift::any_rule prompt;
    prompt.when = kvsift::moment::prompt_end;
    prompt.score = kvsift::pooled{kvsift::window_mass{8}, 5, kvsift::pooling::max, 8};
    prompt.guards = kvsift::protect{.newest = 8};
    prompt.who = kvsift::unit::competing;
    kvsift::competing_budget const budget{kvsift::uniform_budget{limit}, kvsift::competing_shares{0.2}};
    auto const policy = kvsift::to_any(kvsift::policy{budget, prompt, decode});
    kvsift::cache_options options = s.options();
    options.promised = 30;
    INFO("limit ", limit, ", prompt ", s.pieces[0]);
    auto const rows = laws::make_engine(s.shape, policy, options);
    auto const pages = laws::make_paged_engine(s.shape, policy, options);
    for (int again = 0; again < 2; ++again, pages->clear(), rows->clear()) {
      laws::history const want = laws::run({}, *rows, s);
      for (support::row_content const& row : want.after[0]) uneven += row.limit != limit;
      REQUIRE(laws::difference(run_scattered({}, *pages, s, seed), want) == "");
    }
  });
  CHECK(uneven > support::often(100));
}
