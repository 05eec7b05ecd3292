// Among equal scores the lower position goes; a ranked scope takes the higher positions out; a cut that ranks keepers
// keeps the lower ones. Whatever slot they lie in.
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// The positions held, row by row, after every piece.
std::vector<std::vector<u32>> held(laws::history const& h) {
  std::vector<std::vector<u32>> lists;
  for (support::snapshot const& now : h.after)
    for (support::row_content const& row : support::by_position(now)) lists.push_back(row.positions());
  return lists;
}

}  // namespace

TEST_CASE("attention that is the same everywhere evicts the oldest that may go") {
  support::for_each_seed(80, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.data.silent = true;  // the newest query attends to every slot alike, bit for bit
    INFO(s.text());
    auto const with = [&](kvsift::any_score const& score) {
      for (kvsift::any_rule* const rule : {&s.policy.first, &s.policy.second}) rule->score = score, rule->scope = kvsift::all_slots{};
      auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
      return held(laws::run({}, *cache, s));
    };
    CHECK(with(kvsift::newest_query_attention{}) == with(kvsift::oldest_first{}));
  });
}

TEST_CASE("a prompt whose scores are equal keeps its end by victims and its beginning by keepers") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    kvsift::any_rule rule;
    rule.guards = {.sinks = static_cast<u32>(seed % 3), .newest = static_cast<u32>(seed / 3 % 3)};
    rule.score = seed % 2 == 0 ? kvsift::any_score{kvsift::newest_query_attention{}} : kvsift::any_score{kvsift::oldest_first{}};
    rule.when = kvsift::moment::prompt_end | kvsift::moment::after_attention;
    s.policy.first = rule;
    s.policy.second.when = kvsift::moment{};
    s.policy.limit += rule.guards.sinks + rule.guards.newest;
    s.data.silent = true;
    u32 const limit = s.policy.limit, tokens = limit + 7;
    s.pieces = {tokens};
    INFO(s.text());
    for (kvsift::pick const ranked : {kvsift::pick::victims, kvsift::pick::keepers}) {
      s.policy.first.ranked = ranked;
      std::set<u32> kept;
      for (u32 p = 0; p < tokens; ++p)
        if (rule.guards.holds(p, tokens)) kept.insert(p);
      if (ranked == kvsift::pick::victims)
        for (u32 p = tokens; kept.size() < limit; --p) kept.insert(p - 1);
      else
        for (u32 p = 0; kept.size() < limit; ++p) kept.insert(p);
      auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
      for (std::vector<u32> const& list : held(laws::run({}, *cache, s))) CHECK(std::vector<u32>(kept.begin(), kept.end()) == list);
    }
  });
}
