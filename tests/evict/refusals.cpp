// Every error of a cache and of its verbs: the argument, its value, the limit, the remedy; and nothing has changed.
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/snapshot.hpp>

namespace {

using u32 = std::uint32_t;
using kvsift::bad_argument;
using kvsift::cache_shape;
using kvsift::kv_tensor;
constexpr kvsift::serial_executor on{};

/// What is thrown instead of a cache.
template <class Policy, class Position = kvsift::original_positions>
std::string refusal(cache_shape const& shape, Policy const& policy, kvsift::cache_options const& options = {}, Position position = {}) {
  try {
    kv_tensor<Policy, kvsift::fp32_payload, Position> const cache(shape, policy, options, position);
  } catch (bad_argument const& e) {
    return e.what();
  }
  return "nothing";
}

/// What a call throws; "nothing" if it does not. The cache must be as before.
template <class Cache, class Call>
std::string refusal_of(Cache& cache, Call const& call) {
  support::snapshot const before = support::take_snapshot(cache.view());
  std::string text = "nothing";
  try {
    call();
  } catch (bad_argument const& e) {
    text = e.what();
  }
  CHECK(support::difference(support::take_snapshot(cache.view()), before) == "");
  return text;
}

struct tokens {
  explicit tokens(cache_shape const& shape) : data{1, shape} {}
  support::marked_vectors data;
  std::vector<float> out{};

  template <class Cache>
  void feed(Cache& cache, u32 first, u32 count, u32 layer = 0) {
    support::marked_vectors::piece const p = data.make_piece(layer, first, count);
    out.assign(p.queries.size(), 0.0f);
    kvsift::step(on, cache[layer], p.view(), out.data());
  }
};

}  // namespace

TEST_CASE("shapes, options and budgets that cannot be served") {
  auto const policy = kvsift::recent_global(8, 2);
  CHECK(refusal({0, 1, 1, 8, 1}, policy) == "shape.layers is 0; give 1 to 4096");
  CHECK(refusal({1, 4097, 1, 8, 1}, policy) == "shape.kv_heads is 4097; give 1 to 4096");
  CHECK(refusal({1, 1, 257, 8, 1}, policy) == "shape.group is 257; give 1 to 256 query heads per KV head");
  CHECK(refusal({1, 1, 1, 1025, 1}, policy) == "shape.head_dim is 1025; give 1 to 1024");
  CHECK(refusal({1, 1, 1, 8, 0}, policy) == "shape.sequences is 0; give 1 to 65536");
  CHECK(refusal({1, 1, 1, 8, 1}, policy, {.max_piece = 0}) == "max_piece is 0; give the longest piece of tokens, at least 1");
  CHECK(refusal({1, 1, 1, 8, 1}, policy, {.group_threads = 0}) == "group_threads is 0; give 1 to 1024");
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::recent_global(0, 0)) == "budget is 0; give every head at least one slot");
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::recent_global(0x7fffffff, 0)) == "budget is 2147483647; give less than 2^31 slots");
  std::string const none_left = "; sinks + recent + excluded + pinned leave no slot that may go; raise the budget or protect less";
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::recent_global(2, 2)) == "budget is 2" + none_left);
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::roco(12, 5, 8)) == "budget is 12" + none_left);
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::roco(13, 5, 8)) == "nothing");
  CHECK(refusal({1, 1, 1, 8, 1}, kvsift::full()) == "capacity is 0; a policy without a limit needs the slots to allocate per head");
  CHECK(refusal({2, 1, 1, 8, 1}, kvsift::policy{kvsift::layer_budgets{{8}}, kvsift::making_room(kvsift::oldest_first{}, {})}) ==
        "budgets by layer is 1; give one for each layer of the cache");
  CHECK(refusal({1, 1, 1, 7, 1}, policy, {}, kvsift::in_cache_positions{}) == "rotary_dim is 7; give an even number");
  CHECK(refusal({1, 1, 1, 8, 1}, policy, {}, kvsift::in_cache_positions{{10000.0, kvsift::pairing::half_split, 10}}) ==
        "rotary_dim is 10; give at most head_dim");
  CHECK(refusal({1, 1, 1, 8, 1}, policy, {}, kvsift::in_cache_positions{{-1.0}}) ==
        "theta is -1.000000; give the rotary base of the model, such as 10000, or 0 if nothing turns");
  CHECK_THROWS_WITH_AS(kvsift::parallel_executor(1025), "threads is 1025; give at most 1024", bad_argument);
}

TEST_CASE("a shape whose rows do not fit 32 bits, and a cache beyond memory") {
  CHECK(refusal({4096, 4096, 1, 8, 65536}, kvsift::recent_global(8, 2)).find("rows") != std::string::npos);
  CHECK_THROWS((kv_tensor{cache_shape{64, 1024, 1, 1024, 65536}, kvsift::recent_global(0x7ffffffe, 0)}));
}

TEST_CASE("pieces, layers and masses that do not fit the cache") {
  cache_shape const shape{2, 1, 1, 8, 1};
  tokens t(shape);
  kv_tensor cache{shape, kvsift::accumulated_attention_policy(4, 1), {.max_piece = 6}};
  t.feed(cache, 0, 3);
  auto const step = [&](u32 layer, u32 count) {
    return refusal_of(cache, [&] { kvsift::step(on, cache[layer], kvsift::arrivals{nullptr, nullptr, nullptr, count}, nullptr); });
  };
  std::string const piece = "; a piece has 1 to 6 tokens; plan for longer ones with cache_options.max_piece";
  CHECK(step(0, 0) == "tokens is 0" + piece);
  CHECK(step(0, 7) == "tokens is 7" + piece);
  CHECK(step(2, 1) == "layer is 2; the cache has fewer layers");
  for (u32 const count : {1u, 2u, 6u})
    CHECK(step(0, count) == "queries, keys, values or out is 0; step takes all of them; append, attend and observe do its parts");
  CHECK(refusal_of(cache, [&] { kvsift::attend(on, cache[2], nullptr, nullptr); }) == "layer is 2; the cache has fewer layers");
  CHECK(refusal_of(cache, [&] { kvsift::attend(on, cache[1], nullptr, nullptr); }) == "tokens held is 0; append one before attending");
  CHECK(refusal_of(cache, [&] { kvsift::observe(on, cache[2], nullptr, 9); }) == "layer is 2; the cache has fewer layers");
  CHECK(refusal_of(cache, [&] { kvsift::observe(on, cache[0], nullptr, 2); }) ==
        "pitch is 2; give a row of masses at least as long as the slots held");
  CHECK(refusal_of(cache, [&] { kvsift::compress(on, cache[0], nullptr, nullptr, 6); }) ==
        "tokens held is 3; compress takes the first piece of a sequence; clear that first");
  CHECK(refusal_of(cache, [&] { kvsift::compress(on, cache[1], nullptr, nullptr, 6); }) ==
        "masses.sum is 0; the policy's columns feed on it; give the engine's attention mass");
  float const zeros[6] = {};
  CHECK(refusal_of(cache, [&] { kvsift::compress(on, cache[1], zeros, zeros, 6, {.sum = zeros, .pitch = 5}); }) ==
        "masses.pitch is 5; give rows at least as long as the piece");
}

/// Columns that a user might write: one that says what it reads of a mass, and one that does not.
struct squared_mass {
  using element = float;
  static constexpr bool feeds_on_attention = true;
  static constexpr std::uint32_t width() { return 1; }
  static constexpr bool merge(squared_mass const&) { return true; }
  void admit(float* e, kvsift::arrival const&, kvsift::head_context const&) const { *e = 0; }
  void observe(float* e, kvsift::mass const& m, kvsift::head_context const&) const { *e += m.squares; }
  friend constexpr bool operator==(squared_mass const&, squared_mass const&) { return true; }
};
struct squared_mass_only : squared_mass {
  static constexpr kvsift::mass_part reads = kvsift::mass_part::squares;
  static constexpr bool merge(squared_mass_only const&) { return true; }
  friend constexpr bool operator==(squared_mass_only const&, squared_mass_only const&) { return true; }
};
template <class Column>
struct by {
  static constexpr auto columns() { return kvsift::column_set<Column>{}; }
  float operator()(auto const& row, u32 slot) const { return row.template get<Column>()[slot]; }
  friend constexpr bool operator==(by const&, by const&) { return true; }
};

TEST_CASE("compress asks for what the columns read, a user's own among them") {
  cache_shape const shape{1, 1, 1, 8, 1};
  std::vector<float> const vectors(6 * 8, 1.0f), mass(6, 0.5f);
  auto const asked = [&](auto column, kvsift::prompt_masses masses) {
    masses.pitch = 6;
    auto const rule = kvsift::at_prompt_end(by<decltype(column)>{}, kvsift::protect{});
    kv_tensor cache{shape, kvsift::policy{kvsift::uniform_budget{4}, rule}, {.max_piece = 6}};
    try {
      kvsift::compress(on, cache[0], vectors.data(), vectors.data(), 6, masses);
    } catch (bad_argument const& refused) {
      return std::string(refused.what()).substr(0, std::string_view(refused.what()).find(' '));
    }
    auto const& staged = cache.bound().work.staging;  // not kept beyond the prompt
    return std::string(staged.row(0).template column<decltype(column)>()[0] == 0.5f ? "fed" : "not fed");
  };
  CHECK(asked(squared_mass{}, {}) == "masses.sum");
  CHECK(asked(squared_mass{}, {.sum = mass.data()}) == "masses.squares");
  CHECK(asked(squared_mass{}, {.sum = mass.data(), .squares = mass.data()}) == "masses.last");
  CHECK(asked(squared_mass_only{}, {.sum = mass.data(), .last = mass.data()}) == "masses.squares");
  CHECK(asked(squared_mass_only{}, {.squares = mass.data()}) == "fed");
  CHECK(asked(kvsift::last_attention{}, {.last = mass.data()}) == "fed");
}

TEST_CASE("a cache that cannot make room refuses what exceeds its capacity, and changes nothing") {
  cache_shape const shape{1, 2, 1, 8, 1};
  tokens t(shape);
  auto const fills_up = [&](auto const& policy, kvsift::cache_options options, u32 most) {
    kv_tensor cache{shape, policy, options};
    REQUIRE(cache.capacity() >= most);
    for (u32 i = 0; i < most; ++i) t.feed(cache, i, 1);
    for (u32 const count : {1u, 3u}) CHECK(refusal_of(cache, [&] { t.feed(cache, most, count); }).find("capacity") != std::string::npos);
    cache.clear();
    for (u32 i = 0; i + 1 < most; ++i) t.feed(cache, i, 1);
    CHECK(refusal_of(cache, [&] { t.feed(cache, most - 1, 3); }).find("capacity") != std::string::npos);
  };
  SUBCASE("never evicts") { fills_up(kvsift::full(), {.capacity = 5, .max_piece = 9}, 5); }
  SUBCASE("cuts prompts alone") {
    fills_up(kvsift::policy{kvsift::uniform_budget{5}, kvsift::at_prompt_end(kvsift::oldest_first{}, kvsift::protect{1})}, {.max_piece = 9}, 5);
  }
  SUBCASE("cuts prompts alone, with room for what follows") {
    fills_up(kvsift::policy{kvsift::uniform_budget{5}, kvsift::at_prompt_end(kvsift::oldest_first{}, kvsift::protect{1})},
             {.capacity = 8, .max_piece = 9}, 8);
  }
  SUBCASE("evicts after attention, but has no limit") {
    fills_up(kvsift::policy{kvsift::unlimited{}, kvsift::over_budget(kvsift::oldest_first{}, kvsift::protect{1})},
             {.capacity = 5, .max_piece = 9}, 5);
  }
  SUBCASE("makes room, but has no limit") {
    fills_up(kvsift::policy{kvsift::unlimited{}, kvsift::making_room(kvsift::oldest_first{}, kvsift::protect{1})},
             {.capacity = 5, .max_piece = 9}, 5);
  }
}

TEST_CASE("a prompt longer than the capacity of a head without a limit is refused") {
  cache_shape const shape{1, 1, 1, 8, 1};
  tokens t(shape);
  kv_tensor cache{shape, kvsift::policy{kvsift::unlimited{}, kvsift::at_prompt_end(kvsift::oldest_first{}, kvsift::protect{1})},
                  {.capacity = 5, .max_piece = 9}};
  CHECK(refusal_of(cache, [&] { t.feed(cache, 0, 9); }).find("capacity") != std::string::npos);
}

TEST_CASE("heads that decide together and have different limits are refused") {
  struct first_head_keeps_more {
    std::uint32_t limit(cache_shape const&, u32, u32 head) const { return head == 0 ? 6 : 4; }
    bool operator==(first_head_keeps_more const&) const = default;
  };
  auto const policy = kvsift::policy{first_head_keeps_more{}, kvsift::over_budget(kvsift::newest_query_attention{}, kvsift::protect{},
                                                                                 kvsift::all_slots{}, kvsift::unit::shared)};
  CHECK(refusal({1, 2, 1, 8, 1}, policy).find("budget is 4; heads that decide together") == 0);
}

TEST_CASE("a batch takes a later piece that goes token by token as it would take the tokens") {
  cache_shape const shape{1, 1, 1, 8, 2};
  tokens t(shape);
  kv_tensor cache{shape, kvsift::accumulated_attention_policy(6, 1), {.max_piece = 6}};
  t.feed(cache, 0, 3);
  t.feed(cache, 3, 2);
  t.feed(cache, 5, 2);
  kv_tensor other{shape, kvsift::accumulated_attention_policy(6, 1), {.max_piece = 6}};
  t.feed(other, 0, 3);
  t.feed(other, 3, 2);
  t.feed(other, 5, 1);
  kvsift::evict(kvsift::serial_executor{}, other);
  t.feed(other, 6, 1);
  CHECK(support::difference(support::take_snapshot(cache.view()), support::take_snapshot(other.view())) == "");
}

TEST_CASE("codes, projections and moments that do not fit a score that looks at the arriving token") {
  cache_shape const shape{1, 1, 2, 8, 1};
  float const numbers[33] = {};
  CHECK(refusal(shape, kvsift::lsh(8, 1, 2, kvsift::signature{3})) == "signature.bits is 3; give 4 to 64");
  CHECK(refusal(shape, kvsift::lsh(8, 1, 2, kvsift::signature{65})) == "signature.bits is 65; give 4 to 64");
  CHECK(refusal(shape, kvsift::lsh(8, 1, 2, kvsift::signature{4, 0, {numbers, 33}})) ==
        "numbers of the projection is 33; give head_dim x bits of them");
  CHECK(refusal(shape, kvsift::lsh(8, 1, 2, kvsift::signature{4, 0, {numbers, 32}})) == "nothing");
  std::string const late =
      "a rule's moment is prompt_end or after_attention; its score looks at an arriving token, ask it at before_append";
  CHECK(refusal(shape, kvsift::policy{kvsift::uniform_budget{8}, kvsift::over_budget(kvsift::hamming{}, kvsift::protect{})}) == late);
  auto const at_the_end = kvsift::policy{kvsift::uniform_budget{8}, kvsift::at_prompt_end(kvsift::hamming{}, kvsift::protect{})};
  CHECK(refusal(shape, kvsift::to_any(at_the_end)) == late);

  float const vector[16] = {};
  kv_tensor by_query{shape, kvsift::lsh(8, 1, 2, {}, true)};
  CHECK(refusal_of(by_query, [&] { kvsift::append(on, by_query[0], vector, vector); }) ==
        "queries is 0; the policy compares the arriving token's queries with what is held; give them with its key");
  kvsift::append(on, by_query[0], vector, vector, vector);
  kv_tensor by_key{shape, kvsift::lsh(8, 1, 2)};
  kvsift::append(on, by_key[0], vector, vector);
  CHECK(by_key.held(0) + by_query.held(0) == 2);
}

TEST_CASE("sequences that a cache does not have are refused, and so is attention where one holds nothing") {
  using namespace kvsift;
  kv_tensor cache{cache_shape{1, 1, 1, 2, 3}, streaming_llm(1, 3), {.max_piece = 4}};
  CHECK_THROWS_WITH_AS((void)cache.sequence(3), "sequence is 3; the cache has fewer; make it with more in cache_shape.sequences", bad_argument);
  CHECK_THROWS_WITH_AS((void)cache.sequences(1, 3), "sequences is 3; the cache has fewer behind the first; give 1 to as many", bad_argument);
  CHECK_THROWS_WITH_AS((void)cache.sequences(1, 0), "sequences is 0; the cache has fewer behind the first; give 1 to as many", bad_argument);
  float const x[24] = {};
  float out[24] = {};
  step(on, cache.sequence(1)[0], {x, x, x, 4}, out);
  CHECK_THROWS_WITH_AS(attend(on, cache[0], x, out), "tokens held is 0; append one before attending", bad_argument);
  CHECK_NOTHROW(attend(on, cache.sequence(1)[0], x, out));
  pause(on, cache.sequence(0)), pause(on, cache.sequence(2));
  CHECK_NOTHROW(attend(on, cache[0], x, out));
  CHECK_THROWS_WITH_AS(compress(on, cache[0], x, x, 4), "tokens held is 4; compress takes the first piece of a sequence; clear that first", bad_argument);
  pause(on, cache);  // nobody is left, and nothing happens
  CHECK_NOTHROW(step(on, cache[0], {x, x, x, 1}, out));
  CHECK_NOTHROW(compress(on, cache[0], x, x, 4));
  CHECK(cache.held(0, 0) == 0);
  CHECK(cache.held(0, 1) == 4);
  CHECK_THROWS_WITH_AS((void)cache.held(0, 3), "sequence is 3; the cache has fewer; make it with more in cache_shape.sequences", bad_argument);
  CHECK_THROWS_WITH_AS((void)cache.seen(1, 0), "layer is 1; the cache has fewer layers", bad_argument);
  CHECK_THROWS_AS((void)cache.paused(3), bad_argument);
  CHECK(cache.seen(0, 1) == 4);
  auto const one = cache.sequence(1)[0];
  CHECK_THROWS_WITH_AS(append(on, one, nullptr, nullptr), "keys or values is 0; append writes both; give the token's", bad_argument);
  CHECK_THROWS_WITH_AS(attend(on, one, x, nullptr), "queries or out is 0; attend reads the one and writes the other; give both", bad_argument);
  CHECK_THROWS_WITH_AS(observe(on, one, nullptr, 9), "masses is 0; observe feeds the columns with them; give the mass of each slot held", bad_argument);
  CHECK_THROWS_WITH_AS(compress(on, cache.sequence(0)[0], x, nullptr, 3), "keys or values is 0; compress writes what stays of both; give the prompt's", bad_argument);
  CHECK_THROWS_WITH_AS(step(on, cache.sequences(0, 2)[0], {x, x, x, 3, false, 2}, out),
                       "pitch is 2; sequences overlap in the arrays; give at least as many as tokens", bad_argument);
  // One that is full does not stop the others, once it is paused.
  kv_tensor grows{cache_shape{1, 1, 1, 2, 2}, full(), {.capacity = 4, .max_piece = 4}};
  step(on, grows.sequence(0)[0], {x, x, x, 4}, out);
  CHECK_THROWS_WITH_AS(step(on, grows[0], {x, x, x, 1}, out),
                       "tokens of sequence 0 is 5; exceeds the capacity of 4, and no rule of the policy makes room; plan a larger one", bad_argument);
  CHECK(grows.held(0, 1) == 0);
  pause(on, grows.sequence(0));
  CHECK_NOTHROW(step(on, grows[0], {x, x, x, 1}, out));
  CHECK_NOTHROW(grows.count_replayed());
  CHECK(grows.held(0, 1) == 2);
}
