// A session: what it hides must not show. All choices agree where they must, and the loop allocates nothing.

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/policy_choice.hpp>
#include <common/session.hpp>
#include <reference_model/io/load_model.hpp>
#include <support/allocations.hpp>
#include <support/seeds.hpp>

#include "tiny_model.hpp"

namespace {

using namespace programs;

policy_choice choice_of(std::string const& policy, std::string const& budget, std::vector<std::string> const& sets = {}) {
  return choose_policy({.policy = policy, .sets = sets, .budget = budget});
}

struct loaded {
  tiny_model files;
  reference_model::model model = reference_model::load_model(files.path());
};

std::vector<std::uint32_t> some_tokens(std::uint64_t seed, std::size_t count) {
  std::vector<std::uint32_t> tokens(count);
  std::mt19937_64 draw(seed);
  for (std::uint32_t& t : tokens) t = static_cast<std::uint32_t>(draw() % 256);
  return tokens;
}

TEST_CASE("the decode loop allocates nothing, whatever the policy, the storage, the positions and the threads") {
  loaded const m;
  auto const tokens = some_tokens(1, 400);
  for (char const* policy : {"streaming_llm", "random", "accumulated_attention", "mean_attention", "tova", "roco", "recent_global",
                             "heavy_hitter", "key_norm", "keep_it_odd", "strided", "reservoir"})
    for (char const* storage : {"fp32", "bf16", "fp8", "int4"})
      for (bool const in_cache : {false, true})
        for (char const* executor : {"serial", "parallel:2"}) {
          CAPTURE(policy);
          CAPTURE(storage);
          session run(m.model, choice_of(policy, "24", {std::string("storage=") + storage}),
                      {.longest_piece = 8, .stand = in_cache ? standing::in_cache : standing::original, .in_pages = std::string(storage) == "bf16", .executor = executor});
          run.feed({tokens.data(), 8});
          support::allocation_scope const counted;
          for (std::size_t t = 8; t < tokens.size(); ++t) run.feed(tokens[t]);
          CHECK(counted.count() == 0);
          CHECK(run.seen() == 400);
          for (std::uint32_t l = 0; l < tiny_model::layers; ++l)
            for (std::uint32_t h = 0; h < tiny_model::kv_heads; ++h) CHECK(run.held(l, h).size() <= 24);
        }
}

TEST_CASE("what is saved of a full cache: cold-compress's ratio, and with bookkeeping") {
  loaded const m;
  auto const tokens = some_tokens(7, 128);
  auto const saved = [&](char const* policy, char const* budget, char const* storage, bool pages = false) {
    session run(m.model, choice_of(policy, budget, {std::string("storage=") + storage}),
                {.capacity = 128, .longest_piece = 100, .stand = standing::in_cache, .in_pages = pages});
    run.feed({tokens.data(), 100});
    for (std::size_t t = 100; t < 128; ++t) run.feed(tokens[t]);
    return run.saved();
  };
  // A prompt of 100 and 28 tokens fed of 29 generated; 64 slots of 128.
  CHECK(saved("streaming_llm", "64", "fp32").vectors == .5);
  CHECK(saved("streaming_llm", "64", "fp16").vectors == .5);
  CHECK(saved("streaming_llm", "64", "fp8").vectors == .75);
  CHECK(saved("streaming_llm", "64", "int8").vectors == .75);
  CHECK(saved("streaming_llm", "64", "int4").vectors == .875);
  CHECK(saved("full", "", "bf16").vectors == 0);
  CHECK(saved("full", "", "int2").vectors == .875);

  // Of a head: K and V of 8 components 64 bytes a slot, the position 4, the rank 4, the state 20.
  double const full = 128 * (64 + 4);
  CHECK(saved("streaming_llm", "64", "fp32").with_bookkeeping == doctest::Approx(1 - (64 * 72 + sizeof(kvsift::row_state)) / full));
  CHECK(saved("roco", "64", "fp32").with_bookkeeping == doctest::Approx(1 - (64 * (72 + 8) + sizeof(kvsift::row_state)) / full));
  CHECK(saved("full", "", "fp32").with_bookkeeping == doctest::Approx(1 - (128 * 72 + sizeof(kvsift::row_state)) / full));
  // fp8: 16 bytes of the 32 that fp16 takes; int8: 32 with the scales.
  CHECK(saved("streaming_llm", "64", "fp8").with_bookkeeping == doctest::Approx(1 - (64 * (16 + 8) + sizeof(kvsift::row_state)) / (128.0 * 36)));
  CHECK(saved("streaming_llm", "64", "int8").with_bookkeeping == doctest::Approx(1 - (64 * (32 + 8) + sizeof(kvsift::row_state)) / (128.0 * 36)));
  CHECK(saved("streaming_llm", "64", "fp32", true).vectors == .5);  // three pages, and by its slots still
}

TEST_CASE("threads change no bit") {
  loaded const m;
  support::for_each_seed(3, [&](std::uint64_t seed) {
    auto const tokens = some_tokens(seed, 80);
    session one(m.model, choice_of("roco", "20"), {.executor = "serial"});
    session two(m.model, choice_of("roco", "20"), {.executor = "parallel:2"});
    for (std::uint32_t const t : tokens) {
      float const* const a = one.feed(t);
      float const* const b = two.feed(t);
      REQUIRE(std::equal(a, a + m.model.config.vocab, b));
    }
  });
}

TEST_CASE("pages change no bit, and hold the same tokens") {
  loaded const m;
  auto const tokens = some_tokens(5, 120);
  for (char const* policy : {"roco", "heavy_hitter", "ada_snapkv", "strided", "fastgen"})
    for (char const* storage : {"fp32", "fp8", "int8"}) {
      CAPTURE(policy);
      auto const choice = choice_of(policy, "40", {std::string("storage=") + storage});
      session rows(m.model, choice, {.capacity = 120, .longest_piece = 60}), pages(m.model, choice, {.capacity = 120, .longest_piece = 60, .in_pages = true});
      for (std::size_t t = 0, n = 60; t < tokens.size(); t += n, n = 1) {
        float const* const a = rows.feed({tokens.data() + t, n});
        float const* const b = pages.feed({tokens.data() + t, n});
        REQUIRE(std::equal(a, a + m.model.config.vocab, b));
      }
      for (std::uint32_t l = 0; l < tiny_model::layers; ++l)
        for (std::uint32_t h = 0; h < tiny_model::kv_heads; ++h) {
          auto const a = rows.held(l, h);
          std::vector<std::uint32_t> const in_rows(a.begin(), a.end());
          auto const b = pages.held(l, h);
          CHECK(in_rows == std::vector<std::uint32_t>(b.begin(), b.end()));
        }
      CHECK(pages.save().cache == rows.save().cache);
    }
}

TEST_CASE("in-cache positions without an eviction are the original ones") {
  loaded const m;
  auto const tokens = some_tokens(4, 50);
  session original(m.model, choice_of("full", ""), {.capacity = 50});
  session by_rank(m.model, choice_of("full", ""), {.capacity = 50, .stand = standing::in_cache});
  for (std::uint32_t const t : tokens) {
    float const* const a = original.feed(t);
    float const* const b = by_rank.feed(t);
    for (std::uint32_t i = 0; i < m.model.config.vocab; ++i) REQUIRE(std::abs(a[i] - b[i]) < 1e-3f);
  }
}

TEST_CASE("cleared is as new") {
  loaded const m;
  auto const tokens = some_tokens(5, 60);
  session run(m.model, choice_of("heavy_hitter", "24"), {});
  std::vector<float> first;
  for (int round = 0; round < 2; ++round) {
    run.clear();
    float const* logits = nullptr;
    for (std::uint32_t const t : tokens) logits = run.feed(t);
    if (round == 0) first.assign(logits, logits + m.model.config.vocab);
    else CHECK(std::equal(first.begin(), first.end(), logits));
  }
}

TEST_CASE("defaults of bare names are those of the originals, derived from the budget") {
  CHECK(choice_of("roco", "128").made.value == kvsift::to_any(kvsift::roco(128, 29, 10)));
  CHECK(choice_of("roco", "20").made.value == kvsift::to_any(kvsift::roco(20, 0, 10)));
  CHECK(choice_of("streaming_llm", "64").made.value == kvsift::to_any(kvsift::streaming_llm(4, 60)));
  CHECK(choice_of("recency", "64").made.value == choice_of("streaming_llm", "64").made.value);
  CHECK(choice_of("streaming_llm", "64", {"sinks=2"}).made.value == kvsift::to_any(kvsift::streaming_llm(2, 62)));
  CHECK(choice_of("h2o_head", "100").made.value == kvsift::to_any(kvsift::accumulated_attention_policy(100, 30)));
  CHECK(choice_of("roco", "100", {"excluded=5"}).made.value == kvsift::to_any(kvsift::roco(100, 5, 10)));
  CHECK(choice_of("roco", "100", {"budget=50"}).slots() == 100);  // --budget says the last word
  CHECK(choose_policy({.policy = "random", .budget = "30", .seed = 7}).made.value == kvsift::to_any(kvsift::random_eviction(30, 4, 10, 7)));
  CHECK(choose_policy({.policy = "random", .sets = {"seed=9"}, .budget = "30", .seed = 7}).made.value ==
        kvsift::to_any(kvsift::random_eviction(30, 4, 10, 9)));
}

TEST_CASE("shares round down") {
  CHECK(slots_of("25%", 1000) == 250);
  CHECK(slots_of("12.5%", 1000) == 125);
  CHECK(slots_of("33%", 10) == 3);
  CHECK(slots_of("100%", 7) == 7);
  CHECK(slots_of("17", 5) == 17);
}

}  // namespace
