// Policies by name: defaults, refusals, phases, budgets by layer.
#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace {

using namespace kvsift;

policy_fields bare(char const* name) { return policy_fields(name); }
any_policy by_name(char const* name, std::uint32_t budget) { return make_policy(with_defaults(bare(name), budget)).value; }

TEST_CASE("a bare name has its original's defaults, derived from the budget") {
  CHECK(by_name("streaming_llm", 100) == to_any(streaming_llm(4, 96)));
  CHECK(by_name("recency", 100) == to_any(streaming_llm(4, 96)));
  CHECK(by_name("accumulated_attention", 100) == to_any(accumulated_attention_policy(100, 30)));
  CHECK(by_name("h2o_head", 100) == to_any(accumulated_attention_policy(100, 30)));
  CHECK(by_name("mean_attention", 99) == to_any(mean_attention_policy(99, 29)));
  CHECK(by_name("tova", 100) == to_any(tova(100)));
  CHECK(by_name("roco", 100) == to_any(roco(100, 21, 10)));
  CHECK(by_name("roco", 32) == to_any(roco(32, 0, 10)));
  CHECK(by_name("roco", 5) == to_any(roco(5, 0, 4)));
  CHECK(by_name("roco", 1) == to_any(roco(1, 0, 0)));
  CHECK(by_name("deviation_scope", 100) == to_any(roco(100, 21, 10)));
  CHECK(by_name("recent_global", 100) == to_any(recent_global(100, 4)));
  CHECK(by_name("heavy_hitter", 100) == to_any(heavy_hitter(100, 4, 10)));
  CHECK(by_name("key_norm", 100) == to_any(key_norm(100, 4, 10)));
  CHECK(by_name("l2", 100) == to_any(key_norm(100, 4, 10)));
  CHECK(by_name("keep_it_odd", 100) == to_any(keep_it_odd(100, 4, 10)));
  CHECK(by_name("lsh", 100) == to_any(lsh(100, 4, 10, signature{16, 0})));
  CHECK(by_name("random", 100) == to_any(random_eviction(100, 4, 10, 0)));
  CHECK_FALSE(make_policy(with_defaults(bare("full"), 100)).bounded);
  for (catalogue_entry const& entry : catalogue) {
    if (std::string(entry.name) == "full" || std::string(entry.name) == "hybrid") continue;
    CHECK(make_policy(with_defaults(bare(entry.name), 77)).slots == 77);
  }
}

TEST_CASE("recipes are read from a text, or refused in one line") {
  recipe_list windows;
  windows.add({0, 0.1}).add({0, 0.1, 0.25}).add({0, 0.1, 0.5}).add({0, 0, 0, true});
  CHECK(by_name("hybrid", 100) == to_any(hybrid(windows, 0.9, 4)));
  recipe_list kinds;
  kinds.add({1}).add({3}).add({3, 0, 0.3}).add({3, 0.3, 0.3}).add({0, 0, 0, true});
  CHECK(by_name("fastgen", 100) == to_any(hybrid(kinds, 0.9, 4)));
  CHECK_FALSE(make_policy(with_defaults(bare("hybrid"), 100)).bounded);
  CHECK_FALSE(make_policy(with_defaults(bare("hybrid"), 100)).grows());
  auto const with = [](char const* text) { return make_policy(bare("hybrid").set("recipes", text)); };
  CHECK_THROWS_WITH(with("full,,"), "policy field 'recipes' is 'full,,'; '' is none of special, punctuation, window:P, heavy:P and full");
  CHECK_THROWS_WITH(with("window:0.1,window:0.2"), "policy field 'recipes' is 'window:0.1,window:0.2'; windows differ; give all recipes the same");
  CHECK_THROWS_WITH(with("heavy"), "policy field 'recipes' is 'heavy'; 'heavy' is not heavy:P with a part P of the prompt above 0 and at most 1");
  CHECK_THROWS_WITH(with("window:2"), "policy field 'recipes' is 'window:2'; 'window:2' is not window:P with a part P of the prompt above 0 and at most 1");
  CHECK_THROWS_WITH(with("heavy:x"), "policy field 'recipes' is 'x'; give a number from 0 to 1");
  CHECK_THROWS_WITH(with("full,full,full,full,full,full,full,full,full"),
                    "policy field 'recipes' is 'full,full,full,full,full,full,full,full,full'; give at most 8");
  CHECK_THROWS_WITH(make_policy(bare("hybrid").set("sinks", 0u)), "policy field 'sinks' is 0; a recipe may keep nothing else of a prompt; give at least 1");
  policy_fields pinned = bare("hybrid");
  pinned.pinned = 3;
  CHECK_THROWS_WITH(make_policy(pinned), "pinned positions are not one of what hybrid keeps; use sinks");
}

TEST_CASE("names of the originals: aliases with fields of their own, and one that means two things") {
  CHECK(by_name("scissorhands", 100) == to_any(heavy_hitter(100, 4, 10, 400, true)));
  CHECK(by_name("h2o_head_std_avg", 100) == to_any(roco(100, 21, 10)));
  CHECK(by_name("h2o_head_avg", 100) == to_any(mean_attention_policy(100, 30)));
  CHECK(by_name("h2o_head_std", 100) == to_any(accumulated_deviation(100, 21, 10)));
  CHECK(make_policy(bare("scissorhands").set("budget", 9u).set("sinks", 1u).set("recent", 2u)).value ==
        to_any(heavy_hitter(9, 1, 2, 400, true)));
  CHECK(make_policy(bare("scissorhands").set("budget", 9u).set("sinks", 1u).set("recent", 2u).set("history", 7u)).value ==
        to_any(heavy_hitter(9, 1, 2, 7, true)));
  CHECK_THROWS_WITH(make_policy(bare("h2o")),
                    "policy 'h2o' means two things; write accumulated_attention (EasyKV's h2o_head) or heavy_hitter (cold-compress's h2o)");
  for (catalogue_alias const& a : aliases) {
    CHECK(is_policy_name(a.name));
    for_each_field(std::string_view(a.fields), [&](std::string_view field, char mark, std::string_view) {
      CHECK(mark == '=');
      CHECK(has_field(find_policy(a.policy), field));
    });
  }
  CHECK(is_policy_name("h2o"));
  CHECK_FALSE(is_policy_name(""));
  CHECK_FALSE(is_policy_name("h2"));
}

TEST_CASE("strided and reservoir: defaults, both scopes, both profiles") {
  CHECK(by_name("strided", 88) == to_any(strided(88, 8, mean_attention{}, protect{4, 10}, most_varying{6})));
  CHECK(make_policy(with_defaults(bare("strided").set("profile", "reference"), 88)).value ==
        to_any(reference_strided(88, 8, mean_attention{}, protect{}, forced_then_varying{20, 10, 4})));
  CHECK(make_policy(with_defaults(bare("strided").set("scope", "window").set("score", "accumulated"), 88)).value ==
        to_any(strided(88, 8, accumulated_attention{}, protect{4, 8})));
  CHECK(make_policy(with_defaults(bare("roco").set("profile", "reference"), 40)).value == to_any(reference_roco(40, 13, 10)));
  CHECK(by_name("reservoir", 100) == to_any(reservoir(4, 96)));
  for (std::uint32_t budget = 1; budget < 60; ++budget)
    for (char const* const profile : {"fixed", "reference"})
      for (char const* const scope : {"window", "deviation"})
        CHECK_NOTHROW(make_policy(with_defaults(bare("strided").set("profile", profile).set("scope", scope), budget)));

  auto const stated = [] { return bare("strided").set("budget", 20u).set("stride", 4u).set("sinks", 1u).set("score", "mean"); };
  CHECK(make_policy(stated().set("scope", "window").set("recent", 16u)).slots == 20);
  CHECK_THROWS_WITH(make_policy(stated().set("scope", "window").set("recent", 17u)),
                    "policy field 'budget' is 20; sinks 1 + recent 17 + stride 4 leave no slot that may go; raise the budget or protect less");
  CHECK_THROWS_WITH(make_policy(stated().set("scope", "deviation").set("excluded", 7u)),
                    "policy field 'budget' is 20; sinks 1 + newest 10 + excluded 7 + stride 4 leave no slot that may go; raise the budget or protect less");
  CHECK_THROWS_WITH(make_policy(bare("strided").set("budget", 3u).set("stride", 4u).set("sinks", 0u).set("score", "mean").set("scope", "window").set("recent", 0u)),
                    "policy field 'budget' is 3; stride 4 leave no slot that may go; raise the budget or protect less");
  CHECK_THROWS_WITH(make_policy(stated().set("scope", "window")), "policy field 'recent' is missing; the scope 'window' of strided requires it");
  CHECK_THROWS_WITH(make_policy(stated().set("scope", "deviation").set("excluded", 0u).set("recent", 2u)),
                    "policy field 'recent' is 2; the scope 'deviation' has no such field; remove it");
  CHECK_THROWS_WITH(make_policy(bare("reservoir").set("recent", 3u)), "policy field 'sinks' is missing; reservoir requires it");
  CHECK_THROWS_WITH(make_policy(bare("reservoir").set("recent", 3u).set("sinks", 0u)), "policy field 'sinks' is 0; reservoir keeps at least 1");
  CHECK_THROWS_WITH(make_policy(bare("reservoir").set("recent", 0u).set("sinks", 3u)), "policy field 'recent' is 0; reservoir keeps at least 1");
}

TEST_CASE("a prompt in pieces joins another policy's decode, and no prompt is taken whole and in pieces") {
  any_policy const joined = join_phases(make_policy(with_defaults(bare("strided"), 64)), make_policy(with_defaults(bare("key_norm"), 64))).value;
  CHECK(joined.facts().moments == (moment::piece_end | moment::before_append));
  CHECK(joined.facts().stride == 8);
  kv_tensor<any_policy> const cache{cache_shape{}, joined};
  CHECK(cache.capacity() == 72);
  CHECK(cache.next_piece(0, 64) == 64);
  CHECK(cache.next_piece(0, 65) == 57);
  auto const both = policy{uniform_budget{9}, at_prompt_end(oldest_first{}, protect{}), in_pieces(2, oldest_first{}, protect{})};
  CHECK_THROWS_WITH((kv_tensor{cache_shape{}, both}),
                    "rules are asked at prompt_end and at piece_end; a prompt is taken whole or in pieces, ask one of the two");
}

TEST_CASE("heads decide together under all rules of a policy, or under none") {
  auto const mixed = policy{uniform_budget{9}, at_prompt_end(smallest_key_norm{}, protect{}),
                            over_budget(newest_query_attention{}, protect{}, all_slots{}, unit::shared)};
  CHECK_THROWS_WITH((kv_tensor{cache_shape{}, mixed}),
                    "one rule's heads decide together, another's each for itself; their slots would differ, make all unit::shared");
}

TEST_CASE("what is stated stands, whatever the defaults") {
  CHECK(make_policy(with_defaults(bare("roco").set("excluded", 3u), 100)).value == to_any(roco(100, 3, 10)));
  CHECK(make_policy(with_defaults(bare("roco").set("budget", 50u), 100)).value == to_any(roco(50, 6, 10)));
  CHECK(make_policy(with_defaults(bare("streaming_llm").set("recent", 9u), 100)).value == to_any(streaming_llm(4, 9)));
  CHECK(make_policy(with_defaults(bare("tova").set("shared", true), 100)).value == to_any(tova(100, true)));
}

TEST_CASE("every field is described once, and every entry names described fields") {
  for (field_description const& d : field_table) CHECK(find_field(d.name) == &d);
  for (catalogue_entry const& entry : catalogue)
    for_each_field(entry, [&](std::string_view field, char mark, std::string_view value) {
      INFO(entry.name << " " << field);
      REQUIRE(find_field(field) != nullptr);
      if (mark == '=') CHECK_NOTHROW(parse_field(*find_field(field), value));
    });
}

TEST_CASE("fields that fit no policy, or leave nothing to evict, are refused in one line") {
  CHECK_THROWS_WITH(make_policy(bare("roko")), doctest::Contains("policy 'roko' is unknown; there are full, streaming_llm (recency), random"));
  CHECK_THROWS_WITH(make_policy(bare("roco")), "policy field 'budget' is missing; roco requires it");
  CHECK_THROWS_WITH(make_policy(bare("roco").set("budget", 9u).set("excluded", 0u).set("history", 2u)),
                    "policy field 'history' is not one of roco; it has budget, excluded, newest, sinks, profile");
  CHECK_THROWS_WITH(make_policy(bare("full").set("budget", 9u)), "policy field 'budget' is not one of full; it has none");
  CHECK_THROWS_WITH(bare("roco").set("budget", 0u), "policy field 'budget' is 0; give a whole number from 1 to 2147483646");
  CHECK_THROWS_WITH(bare("roco").set("score", "median"), "policy field 'score' is 'median'; give accumulated or mean or last");
  CHECK_THROWS_WITH(bare("roco").set("shared", 1u), "policy field 'shared' is 1; give true or false");
  CHECK_THROWS_WITH(bare("roco").set("speed", 1u), "policy field 'speed' is unknown; remove it");
  CHECK_THROWS_WITH(parse_field(*find_field("budget"), "-3"), "policy field 'budget' is '-3'; give a whole number from 1 to 2147483646");
  CHECK_THROWS_WITH(parse_field(*find_field("seed"), "18446744073709551616"),
                    "policy field 'seed' is '18446744073709551616'; give a whole number from 0 to 18446744073709551615");
  CHECK(std::get<std::uint64_t>(parse_field(*find_field("seed"), "18446744073709551615")) == ~std::uint64_t{0});

  CHECK_THROWS_WITH(make_policy(bare("heavy_hitter").set("budget", 16u).set("sinks", 4u).set("recent", 12u)),
                    "policy field 'budget' is 16; sinks 4 + recent 12 leave no slot that may go; raise the budget or protect less");
  CHECK_THROWS_WITH(make_policy(bare("roco").set("budget", 16u).set("excluded", 7u)),
                    "policy field 'budget' is 16; newest 10 + excluded 7 leave no slot that may go; raise the budget or protect less");
  CHECK_THROWS_WITH(make_policy(bare("streaming_llm").set("recent", 0u)), "policy field 'recent' is 0; streaming_llm keeps at least 1");
  CHECK_THROWS_WITH(make_policy(bare("streaming_llm").set("recent", 5u).set("budget", 10u)),
                    "policy field 'budget' is 10; streaming_llm keeps sinks + recent = 9 slots; leave the budget out or make them agree");
  CHECK_THROWS_WITH(with_defaults(bare("streaming_llm"), 4), "policy field 'budget' is 4; streaming_llm needs more than its 4 sinks");
}

/// The combinations that are not valid, from their definition: what is guarded and excluded against the budget.
TEST_CASE("exactly the combinations that leave no victim are refused") {
  for (std::uint32_t budget : {1u, 2u, 5u, 20u, 40u})
    for (std::uint32_t sinks : {0u, 1u, 4u, 20u})
      for (std::uint32_t recent : {0u, 1u, 16u, 20u}) {
        auto const valid = [&](policy_fields const& f) {
          try {
            make_policy(f);
            return true;
          } catch (bad_argument const&) {
            return false;
          }
        };
        auto const with = [&](char const* name) { return bare(name).set("budget", budget).set("sinks", sinks); };
        INFO("budget " << budget << ", sinks " << sinks << ", recent " << recent);
        for (char const* name : {"accumulated_attention", "mean_attention"})
          CHECK(valid(with(name).set("recent", recent)) == (sinks + recent <= budget));
        CHECK(valid(with("lsh").set("recent", recent).set("compare", "key")) == (sinks + recent < budget));
        for (char const* name : {"heavy_hitter", "key_norm", "keep_it_odd", "random"})
          CHECK(valid(with(name).set("recent", recent)) == (sinks + recent < budget));
        for (char const* name : {"tova", "recent_global"}) CHECK(valid(with(name)) == (sinks < budget));
        for (std::uint32_t excluded : {0u, 3u, 19u})
          CHECK(valid(with("roco").set("newest", recent).set("excluded", excluded)) == (sinks + recent + excluded <= budget));
      }
}

TEST_CASE("codes of lsh: bits, seed, or a projection that is given") {
  auto const stated = [] { return bare("lsh").set("budget", 20u).set("sinks", 1u).set("recent", 2u).set("compare", "query"); };
  CHECK(make_policy(stated()).value == to_any(lsh(20, 1, 2, signature{16, 0}, true)));
  CHECK(make_policy(stated().set("bits", 5u).set("seed", 7u)).value == to_any(lsh(20, 1, 2, signature{5, 7}, true)));
  CHECK_THROWS_WITH(stated().set("bits", 3u), "policy field 'bits' is 3; give a whole number from 4 to 64");
  CHECK_THROWS_WITH(stated().set("bits", 65u), "policy field 'bits' is 65; give a whole number from 4 to 64");
  CHECK_THROWS_WITH(stated().set("compare", "value"), "policy field 'compare' is 'value'; give key or query");
  CHECK_THROWS_WITH(make_policy(bare("lsh").set("budget", 20u).set("sinks", 1u).set("recent", 2u)),
                    "policy field 'compare' is missing; lsh requires it");
  float numbers[12] = {};
  policy_fields f = stated();
  f.projection = {numbers, 12};
  f.projection_bits = 6;
  any_policy const given = make_policy(f).value;
  CHECK(given == to_any(lsh(20, 1, 2, signature{6, 0, {numbers, 12}}, true)));
  CHECK_FALSE(given == to_any(lsh(20, 1, 2, signature{6, 0}, true)));
  CHECK(given.columns().bytes_per_slot() == 1);
  CHECK_THROWS_WITH(make_policy(f.set("bits", 5u)), "policy field 'bits' is 5; the projection has 6; leave bits out or make them agree");
}

TEST_CASE("pinned positions count as protected") {
  policy_fields f = bare("tova").set("budget", 10u);
  f.pinned_from = 3;
  f.pinned = 9;
  CHECK(make_policy(f).value.rules.first.guards.holds(3, 100));
  CHECK(make_policy(f).value.rules.first.guards.holds(11, 100));
  CHECK_FALSE(make_policy(f).value.rules.first.guards.holds(12, 100));
  f.pinned = 10;
  CHECK_THROWS_WITH(make_policy(f), "policy field 'budget' is 10; newest 1 + pinned 10 leave no slot that may go; raise the budget or protect less");
}

TEST_CASE("a policy for the prompt and another from token to token") {
  auto const prompt = make_policy(with_defaults(bare("heavy_hitter"), 64));
  auto const decode = make_policy(with_defaults(bare("roco"), 64));
  any_policy const joined = join_phases(prompt, decode).value;
  CHECK(joined.facts().moments == (moment::prompt_end | moment::after_attention));
  CHECK(joined.rules.first.score == any_score(pooled{window_mass{16}, 5, pooling::mean}));
  CHECK(joined.rules.first.ranked == pick::keepers);
  CHECK(joined.rules.rest.first.score == any_score(mean_attention{}));
  CHECK_THROWS_WITH(join_phases(prompt, make_policy(with_defaults(bare("roco"), 65))),
                    "policy field 'budget' is 64 for the prompt and 65 for decode; give both the same");
  CHECK_THROWS_WITH(join_phases(prompt, make_policy(bare("full"))),
                    "policy fields 'prompt' and 'decode' name a policy without a budget; give two that keep one");
}

TEST_CASE("budgets by layer") {
  policy_fields f = with_defaults(bare("roco"), 32);
  f.layers = {16, 40, 24};
  auto const made = make_policy(f);
  CHECK(made.slots == 40);
  cache_shape const shape{3, 2, 1, 4, 2};
  kv_tensor<any_policy> const cache{shape, made.value};
  CHECK(cache.capacity() == 41);
  for (std::uint32_t l = 0; l < 3; ++l)
    for (std::uint32_t s = 0; s < 2; ++s)
      for (std::uint32_t h = 0; h < 2; ++h) CHECK(cache.view().row(shape.row(l, s, h)).state->limit == f.layers[l]);
  CHECK_THROWS_WITH(kv_tensor<any_policy>(cache_shape{2, 2, 1, 4, 1}, made.value),
                    "budgets by layer is 3; give one for each layer of the cache");
  f.layers = {16, 9, 24};
  CHECK_THROWS_WITH(make_policy(f), "policy field 'layers' is 9; newest 10 leave no slot that may go; raise the budget or protect less");
  policy_fields none = bare("full");
  none.layers = {1};
  CHECK_THROWS_WITH(make_policy(none), "policy field 'layers' is not one of full; it has no budget");
}

TEST_CASE("a plan says what a cache takes, before it takes it") {
  cache_shape const shape{2, 3, 2, 8, 1};
  auto const needed = kv_tensor<decltype(roco(32, 4)), bf16_payload>::plan(shape, roco(32, 4), {.max_piece = 100});
  kv_tensor<decltype(roco(32, 4)), bf16_payload> const cache{shape, roco(32, 4), {.max_piece = 100}};
  CHECK(needed.capacity == 33);
  CHECK(needed.cache.vectors == 2u * 2 * 3 * 33 * 8 * 2);
  CHECK(needed.cache.columns == 2u * 3 * 33 * 8);
  CHECK(needed.cache.positions == 2u * 3 * 33 * 4);
  CHECK(needed.cache.total() == cache.bytes().total());
  CHECK(needed.workspace == cache.workspace_bytes());
}

}  // namespace
