// Heads with budgets of their own: static ones, and those that heads compete for after a prompt.
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include <kvsift/budget/duo_attention.hpp>
#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

struct heads_of_their_own {
  laws::scenario s;
  std::vector<u32> limits;  // [layers, kv_heads]

  kvsift::any_policy policy(kvsift::any_budget budget) const {
    return kvsift::to_any(kvsift::policy{std::move(budget), s.policy.first, s.policy.second});
  }
};

/// A scenario in which each head decides for itself; later pieces are single tokens.
heads_of_their_own random_heads(std::uint64_t seed) {
  heads_of_their_own c{laws::random_scenario(seed), {}};
  support::draws d(seed + 77);
  for (kvsift::any_rule* const rule : {&c.s.policy.first, &c.s.policy.second}) rule->who = kvsift::unit::per_head;
  std::vector<u32> pieces{c.s.pieces[0]};
  while (pieces.size() < 25) pieces.push_back(1);
  c.s.pieces = pieces;
  for (u32 i = 0; i < c.s.shape.layers * c.s.shape.kv_heads; ++i)
    c.limits.push_back(c.s.policy.limit + (d.chance(0.3) ? 0 : static_cast<u32>(d.between(0, 12))));
  return c;
}

}  // namespace

TEST_CASE("a head under a budget of its own does what it does where every head has that budget") {
  support::for_each_seed(120, [](std::uint64_t seed) {
    heads_of_their_own const c = random_heads(seed);
    // A prompt without a rule of its own goes token by token where it does not fit: so that it is one piece for all.
    laws::scenario s = c.s;
    if (s.policy.at(kvsift::moment::prompt_end) == nullptr) s.pieces[0] = std::min(s.pieces[0], s.policy.limit);
    INFO(s.text(), ", limits ", support::listed(c.limits));
    auto const ragged = laws::make_engine(s.shape, c.policy(kvsift::head_budgets{c.limits}), s.options());
    laws::history const got = laws::run({}, *ragged, s);
    for (u32 const limit : std::set<u32>(c.limits.begin(), c.limits.end())) {
      auto const even = laws::make_engine(s.shape, c.policy(kvsift::uniform_budget{limit}), s.options());
      laws::history const want = laws::run({}, *even, s);
      for (std::size_t i = 0; i < want.after.size(); ++i)
        for (u32 r = 0; r < s.shape.rows(); ++r) {
          if (c.limits[r / s.shape.layer_rows() * s.shape.kv_heads + r % s.shape.kv_heads] != limit) continue;
          CAPTURE(i);
          CAPTURE(r);
          REQUIRE(support::difference({got.after[i][r]}, {want.after[i][r]}) == "");
        }
    }
  });
}

TEST_CASE("heads without a limit beside heads that stream hold every token") {
  kvsift::cache_shape const shape{2, 3, 2, 8, 1};
  std::vector<bool> const retrieves{true, false, false, false, true, false};
  auto const policy = kvsift::to_any(kvsift::policy{kvsift::head_budgets{kvsift::duo_attention_slots(retrieves, 2, 5)},
                                                    kvsift::over_budget(kvsift::oldest_first{}, kvsift::protect{2, 5})});
  laws::scenario s;
  s.shape = shape;
  s.data = {9, shape};
  s.pieces = {20};
  while (s.pieces.size() < 21) s.pieces.push_back(1);
  auto const cache = laws::make_engine(shape, policy, {.capacity = 40, .max_piece = 20});
  laws::history const h = laws::run({}, *cache, s);
  for (u32 r = 0; r < shape.rows(); ++r) {
    support::row_content const row = support::by_position(h.after.back())[r];
    CHECK(row.held == (retrieves[r] ? 40 : 7));
    if (!retrieves[r]) CHECK(row.positions() == std::vector<u32>{0, 1, 35, 36, 37, 38, 39});
  }
  std::vector<float> out;
  CHECK_THROWS_WITH(laws::feed({}, *cache, s.data, 40, 1, out),
                    "tokens is 41; exceeds the capacity of 40, and no rule of the policy makes room; plan a larger one");
}

TEST_CASE("memory is what heads may keep, and no more") {
  kvsift::cache_shape const shape{2, 2, 1, 8, 3};
  kvsift::policy const p{kvsift::head_budgets{{10, 30, 5, 15}}, kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{})};
  auto const plan = kvsift::kv_tensor<std::remove_cv_t<decltype(p)>>::plan(shape, p);
  std::size_t const slots = 3 * (10 + 30 + 5 + 15 + 4);  // the newest token's beside each head's own
  CHECK(plan.cache.vectors == slots * 2 * 8 * 4);
  CHECK(plan.cache.columns == slots * 4);
  CHECK(plan.capacity == 31);
  kvsift::kv_tensor const cache{shape, p};
  CHECK(cache.view().room(shape.row(0, 2, 1)) == 31);
  CHECK(cache.view().room(shape.row(1, 0, 0)) == 6);

  auto const ada = kvsift::ada_snapkv(16, 4);
  auto const measured = kvsift::kv_tensor<std::remove_cv_t<decltype(ada)>>::plan(shape, ada, {.max_piece = 1000, .promised = 9});
  CHECK(measured.cache.vectors == std::size_t{shape.rows()} * (16 + 9) * 2 * 8 * 4);
}

TEST_CASE("heads that compete: the sum stays, guarded slots stay, no row runs into the next, every executor agrees") {
  int uneven = 0, cuts = 0;
  support::for_each_seed(120, [&](std::uint64_t seed) {
    support::draws d(seed + 5);
    laws::scenario s = laws::random_scenario(seed);
    u32 const limit = 6 + s.policy.limit;
    s.shape.kv_heads = s.data.shape.kv_heads = static_cast<u32>(d.between(1, 4));
    kvsift::any_rule prompt;
    prompt.when = kvsift::moment::prompt_end;
    prompt.score = support::detail::random_score(d, limit, kvsift::moment::prompt_end, 1, false);
    prompt.guards = kvsift::protect{static_cast<u32>(d.between(0, 2)), static_cast<u32>(d.between(0, 3))};
    prompt.ranked = d.chance(0.5) ? kvsift::pick::keepers : kvsift::pick::victims;
    prompt.who = kvsift::unit::competing;
    double const floor = d.one_of(std::vector<double>{0, 0.2, 1.0 / 3, 0.5, 1});
    kvsift::any_rule decode;
    decode.when = kvsift::moment{};
    int const form = d.between(0, 2);  // nothing acts in decode; before a token; after it
    if (form != 0) {
      decode.when = form == 1 ? kvsift::moment::before_append : kvsift::moment::after_attention;
      decode.score = form == 1 ? kvsift::any_score{kvsift::oldest_first{}} : kvsift::any_score{kvsift::newest_query_attention{}};
    }
    auto policy = kvsift::to_any(
        kvsift::policy{kvsift::competing_budget{kvsift::uniform_budget{limit}, kvsift::competing_shares{floor}}, prompt, decode});
    s.pieces = {d.chance(0.2) ? limit : limit + static_cast<u32>(d.between(1, 25))};
    for (int t = 0; t < 8; ++t) s.pieces.push_back(1);
    kvsift::cache_options options = s.options(3);
    options.promised = 8;
    INFO("limit ", limit, ", floor ", floor, ", form ", form, ", pieces ", support::listed(s.pieces), ", KV heads ", s.shape.kv_heads);
    std::uint64_t const least = kvsift::competing_shares{floor}.least(limit, std::uint64_t{prompt.guards.sinks} + prompt.guards.newest);
    if (form == 1 && least < 1) {
      CHECK_THROWS_WITH(laws::make_engine(s.shape, policy, options), doctest::Contains("least slots of a head is 0"));
      return;
    }
    auto const cache = laws::make_engine(s.shape, policy, options);
    laws::history const got = laws::run({}, *cache, s);
    bool const cut = s.pieces[0] > limit;
    cuts += cut;
    for (std::size_t i = 0; i < got.after.size(); ++i) {
      u32 const appended = static_cast<u32>(i);
      for (u32 first = 0; first < s.shape.rows(); first += s.shape.kv_heads) {
        u32 sum = 0;
        for (u32 r = first; r < first + s.shape.kv_heads; ++r) {
          support::row_content const& row = got.after[i][r];
          sum += row.limit;
          uneven += row.limit != limit;
          REQUIRE(row.limit >= least);
          u32 const kept = std::min(s.pieces[0], row.limit);
          REQUIRE(row.held == (form == 0 ? kept + appended : std::min(kept + appended, row.limit)));
          std::set<u32> held;
          for (support::slot_content const& slot : row.slots) REQUIRE(held.insert(slot.position).second);
          for (u32 p = 0; i == 0 && p < s.pieces[0]; ++p)
            if (prompt.guards.holds(p, s.pieces[0])) REQUIRE(held.count(p) == 1);
          if (form == 0)  // a row that ran into its neighbour would have lost these
            for (u32 p = s.pieces[0]; p < s.pieces[0] + appended; ++p) REQUIRE(held.count(p) == 1);
        }
        REQUIRE(sum == limit * s.shape.kv_heads);
      }
    }
    // The same on other executors, with garbage in what is undefined, and again after clear.
    for (u32 const threads : {1u, 3u}) {
      auto const other = laws::make_engine(s.shape, policy, options);
      support::any_executor const on = threads == 1 ? support::any_executor{} : support::any_executor{support::thread_group_executor{threads}};
      REQUIRE(laws::difference(laws::run_poisoned(on, *other, s), got) == "");
    }
    cache->clear();
    for (support::row_content const& row : cache->look()) CHECK((row.held == 0 && row.limit == limit));
    CHECK(laws::difference(laws::run({}, *cache, s), got) == "");
  });
  CHECK(cuts > support::often(50));
  CHECK(uneven > support::often(100));
}

TEST_CASE("competition is refused where it cannot be held") {
  using namespace kvsift;
  cache_shape const shape{1, 2, 1, 4, 1};
  auto const compete = at_prompt_end(window_mass{4}, protect{.newest = 4}, pick::keepers, unit::competing);
  CHECK_THROWS_WITH((kv_tensor{shape, policy{uniform_budget{16}, compete}}),
                    doctest::Contains("measured budget is 0; heads compete under a measured budget"));
  competing_budget const measured{uniform_budget{16}, competing_shares{0.0}};
  CHECK_THROWS_WITH((kv_tensor{shape, policy{measured, over_budget(mean_attention{}, protect{})}}),
                    doctest::Contains("measured budget is 1"));
  auto later = compete;
  later.when = moment::prompt_end | moment::after_attention;
  CHECK_THROWS_WITH((kv_tensor{shape, policy{measured, later}}), doctest::Contains("heads compete at prompt_end, by score alone"));
  CHECK_THROWS_WITH((kv_tensor{shape, policy{measured, compete, over_budget(mean_attention{}, protect{.newest = 8})}}),
                    "least slots of a head is 4; a head that wins nothing needs room for what decode protects; raise the budget, the "
                    "window or the floor");
  CHECK_NOTHROW((kv_tensor{shape, policy{measured, compete, over_budget(mean_attention{}, protect{.newest = 4})}}));
}
