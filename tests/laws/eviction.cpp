// What holds of every policy, whatever its parts: how many slots stay, which may go, and what a slot holds.
#include <algorithm>
#include <cstring>
#include <set>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// Each held slot has the vectors of its token, and no token is held twice.
void contents_are_right(support::snapshot const& rows, laws::scenario const& s) {
  using kind = support::marked_vectors::kind;
  for (u32 r = 0; r < rows.size(); ++r) {
    u32 const head = r % s.shape.kv_heads, sequence = r / s.shape.kv_heads % s.shape.sequences, layer = r / s.shape.layer_rows();
    std::set<u32> seen;
    for (support::slot_content const& slot : rows[r].slots) {
      CAPTURE(slot.position);
      REQUIRE(slot.position < rows[r].next);
      REQUIRE(seen.insert(slot.position).second);
      std::vector<float> const key = s.data.vector(kind::key, layer, sequence, head, slot.position);
      std::vector<float> const value = s.data.vector(kind::value, layer, sequence, head, slot.position);
      REQUIRE(std::memcmp(key.data(), slot.key.data(), slot.key.size()) == 0);
      REQUIRE(std::memcmp(value.data(), slot.value.data(), slot.value.size()) == 0);
    }
  }
}

std::set<u32> positions(support::row_content const& row) {
  std::vector<u32> const list = row.positions();
  return {list.begin(), list.end()};
}

/// Nothing goes that the rule guards. `next`: tokens seen when it was asked.
void guarded_stay(support::row_content const& before, support::row_content const& after, kvsift::any_rule const& rule, u32 next) {
  std::set<u32> const now = positions(after);
  for (u32 const p : positions(before)) {
    CAPTURE(p);
    if (rule.guards.holds(p, next)) REQUIRE(now.count(p) == 1);
  }
}

}  // namespace

TEST_CASE("at most the limit stays, exactly it after a cut; guarded slots stay; vectors stay with their tokens") {
  support::for_each_seed(250, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed);
    INFO(s.text());
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    kvsift::any_rule const* const prompt = s.policy.at(kvsift::moment::prompt_end);
    kvsift::any_rule const* const making_room = s.policy.at(kvsift::moment::before_append);
    kvsift::any_rule const* const after_attention = s.policy.at(kvsift::moment::after_attention);
    std::vector<float> out;
    u32 seen = 0;
    support::snapshot before = cache->look();
    for (u32 const tokens : s.pieces) {
      laws::feed({}, *cache, s.data, seen, tokens, out);
      u32 const first = seen;
      seen += tokens;
      support::snapshot const now = cache->look();
      contents_are_right(now, s);
      for (std::size_t r = 0; r < now.size(); ++r) {
        REQUIRE(now[r].next == seen);
        REQUIRE(now[r].held == std::min(seen, s.policy.limit));
        if (first == 0 && tokens > s.policy.limit && prompt != nullptr) {
          for (u32 p = 0; p < tokens; ++p) before[r].slots.push_back({p, 0, {}, {}, {}});
          guarded_stay(before[r], now[r], *prompt, seen);
        } else if (tokens == 1 && making_room != nullptr) {
          guarded_stay(before[r], now[r], *making_room, first);
          REQUIRE(positions(now[r]).count(first) == 1);
        } else if (tokens == 1) {
          guarded_stay(before[r], now[r], *after_attention, seen);
        }
      }
      before = now;
    }
  });
}

TEST_CASE("a second evict in a row evicts nothing, and clear forgets everything") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed);
    INFO(s.text());
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const first = laws::run({}, *cache, s);
    cache->evict({});
    CHECK(support::difference(cache->look(), first.after.back()) == "");
    cache->clear();
    for (support::row_content const& row : cache->look()) CHECK((row.held == 0 && row.next == 0 && row.limit == s.policy.limit));
    CHECK(laws::difference(laws::run({}, *cache, s), first) == "");
  });
}

TEST_CASE("what is undefined between two launches and in free slots is never read") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed);
    INFO(s.text());
    auto const clean = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *clean, s);
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    CHECK(laws::difference(laws::run_poisoned({}, *cache, s), want) == "");
  });
}

TEST_CASE("evict of one layer after the other is evict of all") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed);
    INFO(s.text());
    auto const whole = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *whole, s);
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    u32 seen = 0;
    for (std::size_t i = 0; i < s.pieces.size(); ++i) {
      for (u32 layer = 0; layer < s.shape.layers; ++layer) {
        support::marked_vectors::piece const p = s.data.make_piece(layer, seen, s.pieces[i]);
        std::vector<float> out(p.queries.size());
        cache->step({}, layer, p.view(), out.data());
        cache->evict({}, layer);
      }
      seen += s.pieces[i];
      REQUIRE(support::difference(cache->look(), want.after[i]) == "");
    }
  });
}

TEST_CASE("a later piece that does not fit is its tokens one by one") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.pieces = {std::max(s.policy.limit, s.pieces[0]), 5};
    INFO(s.text());
    auto const whole = laws::make_engine(s.shape, s.policy.value(), s.options());
    auto const single = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *whole, s);
    std::vector<float> out;
    laws::feed({}, *single, s.data, 0, s.pieces[0], out);
    std::size_t const prompt = out.size();
    for (u32 t = 0; t < 5; ++t) laws::feed({}, *single, s.data, s.pieces[0] + t, 1, out);
    CHECK(support::difference(single->look(), want.after.back()) == "");
    if (s.shape.layers == 1 && s.shape.sequences == 1) CHECK(std::memcmp(out.data() + prompt, want.out.data() + prompt, (out.size() - prompt) * 4) == 0);
  });
}
