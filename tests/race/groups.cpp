// Every task on groups of 1, 32, 33 and 128 threads: a missing sync() is a data race that ThreadSanitizer reports, and
// the results are those of one thread bit for bit.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/poison.hpp>
#include <support/snapshot.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;

struct result {
  std::vector<float> out{};
  support::snapshot cache{};
};

/// A prompt, then tokens one by one: attended to, or with masses of the caller's own.
struct course {
  kvsift::cache_shape shape{1, 2, 2, 9, 1};
  u32 prompt = 8;
  u32 tokens = 3;
  bool observed = false;
  kvsift::layout order = kvsift::layout::slots;
};

struct published_biases : kvsift::original_positions {
  published_biases() : original_positions{{8}} {}
};

template <class Position = kvsift::original_positions, class Policy>
result run(u32 threads, Policy const& policy, course const& c) {
  support::thread_group_executor const on{threads};
  kvsift::kv_tensor<Policy, kvsift::fp32_payload, Position> cache{
      c.shape, policy, {.capacity = c.prompt + c.tokens, .max_piece = c.prompt, .promised = c.tokens, .order = c.order, .group_threads = threads}};
  support::marked_vectors const data{5, c.shape};
  result r;
  for (u32 seen = 0, tokens = c.prompt; seen < c.prompt + c.tokens; seen += tokens, tokens = 1) {
    support::poison(cache);
    support::marked_vectors::piece const p = data.make_piece(0, seen, tokens);
    std::vector<float> out(p.queries.size());
    if (c.observed) {
      std::vector<float> masses(c.shape.layer_rows() * std::size_t{16});
      for (std::size_t i = 0; i < masses.size(); ++i) masses[i] = static_cast<float>((i * 7 + seen) % 5) / 8.0f;
      if (tokens > 1)
        kvsift::compress(on, cache[0], p.keys.data(), p.values.data(), tokens, {masses.data(), masses.data(), masses.data(), masses.data(), 16});
      else
        kvsift::append(on, cache[0], p.keys.data(), p.values.data()), kvsift::observe(on, cache[0], masses.data(), 16);
    } else {
      kvsift::arrivals piece = p.view();
      std::vector<std::uint8_t> kinds(std::size_t{c.shape.sequences} * tokens);
      for (std::size_t i = 0; i < kinds.size(); ++i) kinds[i] = static_cast<std::uint8_t>((i + seen) % 3);
      piece.kinds = kinds.data();
      kvsift::step(on, cache[0], piece, out.data());
    }
    kvsift::evict(on, cache);
    r.out.insert(r.out.end(), out.begin(), out.end());
  }
  r.cache = support::take_snapshot(cache.view());
  return r;
}

template <class Position = kvsift::original_positions, class Policy>
void agrees_on_every_size(Policy const& policy, course const& c) {
  result const want = run<Position>(1, policy, c);
  for (u32 const threads : {32u, 33u, 128u}) {
    CAPTURE(threads);
    result const got = run<Position>(threads, policy, c);
    CHECK(support::difference(got.cache, want.cache) == "");
    CHECK(got.out == want.out);
  }
}

}  // namespace

TEST_CASE("a prompt is staged and settled, then a ranked scope and a score decide after attention") {
  agrees_on_every_size(kvsift::roco(5, 2, 1), {});
  agrees_on_every_size(kvsift::roco(5, 2, 1), {.shape = {1, 1, 1, 17, 1}, .prompt = 4, .tokens = 4, .order = kvsift::layout::dense});
}

TEST_CASE("a full head makes room before the token is written") {
  agrees_on_every_size(kvsift::heavy_hitter(5, 1, 1, 3, true), {});
}

TEST_CASE("a prompt in pieces gives slots up after each, silent ones feed nothing, and a reservoir draws") {
  agrees_on_every_size(kvsift::strided(5, 2, kvsift::mean_attention{}, kvsift::protect{1, 1}, kvsift::most_varying{1}), {});
  kvsift::forced_then_varying const scope{2, 2, 1};
  agrees_on_every_size(kvsift::reference_strided(5, 3, kvsift::mean_attention{}, kvsift::protect{}, scope), {});
  agrees_on_every_size(kvsift::reservoir(2, 3, 4), {.tokens = 6});
}

TEST_CASE("the codes of a key and of queries are computed together, and compared") {
  agrees_on_every_size(kvsift::lsh(5, 1, 1, kvsift::signature{29, 1}), {});
  agrees_on_every_size(kvsift::lsh(5, 1, 1, kvsift::signature{64, 1}, true), {});
}

TEST_CASE("heads decide together, ranks come down, keys are turned on reading") {
  agrees_on_every_size<kvsift::in_cache_positions>(kvsift::tova(5, true, 1), {.shape = {1, 2, 1, 10, 1}});
}

TEST_CASE("keys are turned when another goes, or a query for the sinks, or nothing but biases tells places apart") {
  course const tokens{.shape = {1, 2, 2, 18, 1}, .prompt = 1, .tokens = 9};
  agrees_on_every_size<kvsift::rerotated_positions>(kvsift::streaming_llm(1, 3), tokens);
  agrees_on_every_size<kvsift::two_query_positions>(kvsift::streaming_llm(2, 3), tokens);
  agrees_on_every_size<published_biases>(kvsift::tova(5, true, 1), {.shape = {1, 2, 1, 10, 1}});
}

TEST_CASE("heads compete for the slots of their layer, and their rows are laid out anew") {
  using namespace kvsift;
  agrees_on_every_size(ada_snapkv(5, 2, 3, pooling::avg, 0.2, group_reduction::max), {.shape = {1, 3, 2, 9, 1}, .prompt = 12});
  agrees_on_every_size(to_any(ada_snapkv(5, 2, 3)), {.shape = {1, 3, 1, 5, 2}, .prompt = 12, .tokens = 2});
}

TEST_CASE("each head chooses what it keeps of its prompt, and keeps as much") {
  kvsift::recipe_list recipes;
  recipes.add({.kinds = 2}).add({.kinds = 1, .window = 0.3, .heavy = 0.2}).add({.heavy = 0.4});
  agrees_on_every_size(kvsift::hybrid(recipes, 0.7, 1), {.prompt = 10});
  agrees_on_every_size(kvsift::to_any(kvsift::hybrid(recipes, 0.9, 1, 3)), {.shape = {1, 3, 1, 5, 1}, .prompt = 10});
}

TEST_CASE("keys of a prompt are compared with their mean") {
  agrees_on_every_size(kvsift::keydiff(5, 1, 1), {.shape = {1, 2, 1, 35, 1}});
  agrees_on_every_size(kvsift::expected_attention(5, {}, 1, 1, 9), {.shape = {1, 2, 2, 11, 1}});
}

TEST_CASE("a window of queries tells its mass") {
  using namespace kvsift;
  cache_shape const shape{1, 2, 2, 9, 1};
  support::marked_vectors const data{7, shape};
  support::marked_vectors::piece const p = data.make_piece(0, 0, 12);
  observation_window const given{p.queries.data() + std::size_t{8} * 4 * 9, p.keys.data(), 12, 4, group_reduction::max};
  std::vector<float> const log_sums(4 * 4, 2.0f);
  for (bool const known : {false, true}) {
    observation_window w = given;
    if (known) w.lse = log_sums.data();
    std::vector<float> want;
    for (u32 const threads : {1u, 32u, 33u}) {
      host_memory const workspace(attention_mass_bytes(shape, w, threads));
      std::vector<float> mass(2 * 12);
      attention_mass(support::thread_group_executor{threads}, shape, w, mass.data(), 12, workspace.data(), workspace.size(), threads);
      if (threads == 1) want = mass;
      CHECK(mass == want);
    }
  }
}

TEST_CASE("sequences pause, end and begin again while others go on") {
  using namespace kvsift;
  cache_shape const shape{1, 3, 1, 9, 3};
  auto const decide = [&]<class Policy, class Placement>(Policy const& policy, Placement) {
    result want;
    for (u32 const threads : {1u, 32u, 33u, 128u}) {
      CAPTURE(threads);
      support::thread_group_executor const on{threads};
      kv_tensor<Policy, fp32_payload, original_positions, dropped, Placement> cache{shape, policy, {.max_piece = 12, .promised = 9, .group_threads = threads}};
      support::marked_vectors const data{5, shape};
      result got;
      auto const feed = [&](auto rows, u32 first, u32 count, u32 tokens) {
        support::marked_vectors::piece p;
        for (u32 s = first; s < first + count; ++s) data.add_sequence(p, 0, s, 3, tokens);
        std::vector<float> out(p.queries.size());
        step(on, rows, p.view(), out.data());
        evict(on, cache);
        got.out.insert(got.out.end(), out.begin(), out.end());
      };
      feed(cache.sequence(2)[0], 2, 1, 12);
      feed(cache.sequences(0, 2)[0], 0, 2, 7);
      pause(on, cache.sequence(1));
      feed(cache[0], 0, 3, 1);
      clear(on, cache.sequences(1, 2));
      resume(on, cache);
      feed(cache.sequence(1)[0], 1, 1, 10);
      feed(cache[0], 0, 3, 1);
      got.cache = support::take_snapshot(cache.view());
      if (threads == 1) want = got;
      CHECK(support::difference(got.cache, want.cache) == "");
      CHECK(got.out == want.out);
    }
  };
  decide(roco(5, 2, 1), in_pages{});
  decide(heavy_hitter(5, 1, 1), in_rows{});
  decide(ada_snapkv(5, 2, 3), in_pages{});
}

TEST_CASE("an engine's masses feed the columns of a prompt and of a token") {
  agrees_on_every_size(kvsift::roco(5, 2, 1), {.observed = true});
}
