// Prompts that come in pieces: what stays after each, whoever cuts the prompt and whatever is beside it.
#include <algorithm>
#include <cstring>
#include <set>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using laws::u32;

/// A scenario whose policy takes a long prompt in pieces; the last of `pieces` may be the tokens of a second prompt.
laws::scenario random_pieces(std::uint64_t seed) {
  laws::scenario s = laws::random_scenario(seed, 48);
  support::draws d(seed + 991);
  s.policy = support::random_composition_in_pieces(d, static_cast<u32>(d.between(2, 14)));
  if (d.chance(0.7)) s.pieces[0] = static_cast<u32>(d.between(1, 40));
  return s;
}

/// The largest number of slots up to the limit from which whole strides lead to n.
u32 left_of(u32 n, u32 limit, u32 stride) {
  u32 left = std::min(n, limit);
  while (n > limit && (n - left) % stride != 0) --left;
  return left;
}

std::set<u32> positions(support::row_content const& row) {
  std::vector<u32> const list = row.positions();
  return {list.begin(), list.end()};
}

/// One piece after the other as next_piece names them; `each` is called with tokens seen and what the cache held
/// before.
template <class F>
void in_named_pieces(support::any_executor const& on, laws::engine& cache, laws::scenario const& s, u32 prompt,
                     std::vector<float>& out, F const& each) {
  for (u32 seen = 0; seen < prompt;) {
    support::snapshot const before = cache.look();
    u32 const tokens = kvsift::next_piece(s.policy.first.stride, s.policy.limit, before[0].held, prompt - seen);
    for (u32 layer = 0; layer < s.shape.layers; ++layer) {
      support::marked_vectors::piece const p = s.data.make_piece(layer, seen, tokens);
      kvsift::arrivals piece = p.view();
      piece.of_prompt = true;
      std::vector<float> result(p.queries.size());
      cache.step(on, layer, piece, result.data());
      out.insert(out.end(), result.begin(), result.end());
    }
    seen += tokens;
    each(seen, tokens, before);
  }
}

}  // namespace

TEST_CASE(
    "after a piece that does not fit a head holds what it held before; guarded slots stay; decode fills up to the "
    "limit") {
  support::for_each_seed(150, [](std::uint64_t seed) {
    laws::scenario const s = random_pieces(seed);
    INFO(s.text());
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    u32 const limit = s.policy.limit, stride = s.policy.first.stride, prompt = s.pieces[0];
    CHECK(cache->capacity() ==
          limit + std::max(stride, includes(s.policy.second.when, kvsift::moment::before_append) ? stride : 1u));
    std::vector<float> out;
    in_named_pieces({}, *cache, s, prompt, out, [&](u32 seen, u32 tokens, support::snapshot const& before) {
      bool const fits = before[0].held + tokens <= limit;
      support::snapshot const now = cache->look();
      for (std::size_t r = 0; r < now.size(); ++r) {
        REQUIRE(now[r].next == seen);
        REQUIRE(now[r].held == (fits ? seen : before[r].held));
        if (fits) continue;
        REQUIRE(tokens == stride);
        std::set<u32> had = positions(before[r]), has = positions(now[r]);
        for (u32 t = seen - tokens; t < seen; ++t) had.insert(t);
        for (u32 const p : had) {
          CAPTURE(p);
          if (s.policy.first.guards.holds(p, seen)) REQUIRE(has.count(p) == 1);
        }
        REQUIRE(std::includes(had.begin(), had.end(), has.begin(), has.end()));
      }
    });
    u32 const left = left_of(prompt, limit, stride);
    for (support::row_content const& row : cache->look()) REQUIRE(row.held == left);
    for (u32 t = 0; t < stride + 2; ++t) {
      laws::feed({}, *cache, s.data, prompt + t, 1, out);
      for (support::row_content const& row : cache->look()) REQUIRE(row.held == std::min(left + t + 1, limit));
    }
  });
}

TEST_CASE("a prompt that is given whole is the pieces that next_piece names, bit for bit") {
  support::for_each_seed(80, [](std::uint64_t seed) {
    laws::scenario s = random_pieces(seed);
    s.shape.layers = s.data.shape.layers = 1;
    s.pieces[0] = std::max(2u, s.pieces[0]);  // one token is of a prompt only if it says so
    INFO(s.text());
    auto const whole = laws::make_engine(s.shape, s.policy.value(), s.options());
    auto const parts = laws::make_engine(s.shape, s.policy.value(), s.options());
    std::vector<float> want, got;
    laws::feed({}, *whole, s.data, 0, s.pieces[0], want);
    in_named_pieces({}, *parts, s, s.pieces[0], got, [](u32, u32, support::snapshot const&) {});
    parts->evict({});
    CHECK(support::difference(parts->look(), whole->look()) == "");
    REQUIRE(got.size() == want.size());
    if (s.shape.sequences == 1) CHECK(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0);
  });
}

TEST_CASE("threads and blocks take pieces bit for bit as one thread does") {
  kvsift::parallel_executor const pool;
  support::for_each_seed(50, [&](std::uint64_t seed) {
    laws::scenario const s = random_pieces(seed);
    INFO(s.text());
    laws::history const want = laws::run({}, *laws::make_engine(s.shape, s.policy.value(), s.options()), s);
    CHECK(laws::difference(laws::run({pool}, *laws::make_engine(s.shape, s.policy.value(), s.options()), s), want) ==
          "");
    support::any_executor const block{support::thread_group_executor{3}};
    CHECK(laws::difference(laws::run(block, *laws::make_engine(s.shape, s.policy.value(), s.options(3)), s), want) ==
          "");
  });
}

TEST_CASE("pieces of one token are the tokens, each with an eviction of its own") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    laws::scenario s = random_pieces(seed);
    kvsift::any_rule& rule = s.policy.first;
    rule.when = kvsift::moment::piece_end | kvsift::moment::after_attention;
    rule.stride = 1;
    rule.silent = false;
    s.policy.second.when = kvsift::moment{};
    if (s.policy.value().columns().get<kvsift::observations>().history != 0)
      return;  // a first piece is one observation
    INFO(s.text());
    auto const prompt = laws::make_engine(s.shape, s.policy.value(), s.options());
    auto const tokens = laws::make_engine(s.shape, s.policy.value(), s.options());
    std::vector<float> out;
    laws::feed({}, *prompt, s.data, 0, s.pieces[0], out);
    for (u32 t = 0; t < s.pieces[0]; ++t) laws::feed({}, *tokens, s.data, t, 1, out);
    support::snapshot got = prompt->look(), want = tokens->look();
    for (std::size_t r = 0; r < got.size(); ++r) got[r].observed_from = want[r].observed_from;
    // Slots lie in position order in both or in neither; what they hold is the same, sums up to the order of addition.
    for (std::size_t r = 0; r < got.size(); ++r)
      CHECK(support::listed(got[r].positions()) == support::listed(want[r].positions()));
  });
}
