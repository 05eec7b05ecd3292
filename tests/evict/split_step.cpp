// A decode step whose rows several blocks share, against the serial executor's: attention and what it feeds within rounding, all else bit
// for bit, and the same decisions where scores lie apart.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>
#include <support/poison.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/snapshot.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using support::split_executor;
using u32 = std::uint32_t;

bool close(float got, float want) { return std::fabs(got - want) <= 1e-5f * std::fabs(want); }

/// Where two caches first differ: columns of floats by more than rounding, all else at all.
template <class There, class Here>
std::string apart(There const& there, Here const& here) {
  auto const without_columns = [](auto const& cache) {
    support::snapshot rows = support::take_snapshot(cache.view());
    for (auto& row : rows)
      for (auto& slot : row.slots) slot.columns.clear();
    return rows;
  };
  support::snapshot const got = without_columns(there), want = without_columns(here);
  if (std::string const d = support::difference(got, want); !d.empty()) return d;
  for (u32 r = 0; r < here.shape().rows(); ++r) {
    if (*there.view().row(r).state != *here.view().row(r).state) return "states of row " + std::to_string(r) + " differ";
    for (u32 i = 0; i < want[r].held; ++i) {
      std::string problem;
      here.view().stored.for_each([&]<class C>(C const& column, std::size_t) {
        auto const* const a = there.view().row(r).template column<C>().at(i);
        auto const* const b = here.view().row(r).template column<C>().at(i);
        for (u32 k = 0; k < column.width(); ++k) {
          bool same = a[k] == b[k];
          if constexpr (std::is_same_v<typename C::element, float>) same = same || close(a[k], b[k]);
          if (same) continue;
          problem = typeid(C).name();
          problem += " of row " + std::to_string(r) + ", slot " + std::to_string(i) + " differs";
        }
      });
      if (!problem.empty()) return problem;
    }
  }
  return "";
}

std::string outputs_apart(std::vector<float> const& got, std::vector<float> const& want) {
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!(std::fabs(got[i] - want[i]) <= 1e-5f))
      return "output " + std::to_string(i) + ": " + std::to_string(got[i]) + " instead of " + std::to_string(want[i]);
  return "";
}

/// Both caches, and how they are fed alike.
template <class Policy, class Payload, class Position, class Placement>
struct pair_of_caches {
  kv_tensor<Policy, Payload, Position, dropped, Placement> here;
  kv_tensor<Policy, Payload, Position, dropped, Placement, support::split_memory> there;
  split_executor on;
  u32 seen = 0;

  pair_of_caches(cache_shape const& shape, Policy const& policy, cache_options const& options, split_executor const& executor,
                 Position const& position = {})
      : here(shape, policy, options, position), there(shape, policy, options, position), on(executor) {}

  /// A prompt with masses of an engine's own, so that long ones cost little.
  void prompt(support::marked_vectors const& data, u32 tokens) {
    cache_shape const& shape = here.shape();
    std::vector<float> const masses(std::size_t{shape.layer_rows()} * tokens, 1.0f / 16);
    prompt_masses const m{masses.data(), masses.data(), masses.data(), masses.data(), tokens, masses.data()};
    for (u32 l = 0; tokens != 0 && l < shape.layers; ++l) {
      auto const p = data.make_piece(l, seen, tokens);
      compress(serial_executor{}, here[l], p.keys.data(), p.values.data(), tokens, m);
      compress(on, there[l], p.keys.data(), p.values.data(), tokens, m);
    }
    seen += tokens;
  }
  /// One token in every layer, and the evict of it. How far outputs are apart.
  std::string token(support::marked_vectors const& data, bool of_prompt = false) {
    std::string problem;
    for (u32 l = 0; l < here.shape().layers; ++l) {
      auto const p = data.make_piece(l, seen, 1);
      std::vector<float> want(p.queries.size()), got(want.size(), NAN);
      arrivals given = p.view();
      given.of_prompt = of_prompt;
      step(serial_executor{}, here[l], given, want.data());
      support::poison(there);
      step(on, there[l], given, got.data());
      problem += outputs_apart(got, want);
    }
    evict(serial_executor{}, here);
    evict(on, there);
    ++seen;
    return problem + apart(there, here);
  }
  /// Attention without a token.
  std::string attend_only(support::marked_vectors const& data, u32 layer) {
    auto const p = data.make_piece(layer, seen, 1);
    std::vector<float> want(p.queries.size()), got(want.size(), NAN);
    attend(serial_executor{}, here[layer], p.queries.data(), want.data());
    support::poison(there);
    attend(on, there[layer], p.queries.data(), got.data());
    return outputs_apart(got, want) + apart(there, here);
  }
};

/// So much of a cache that some blocks stay idle, and lengths around where chunks meet.
template <class Payload, class Position, class Placement>
void agrees(std::size_t seeds, Position const& position = {}) {
  support::for_each_seed(seeds, [&](std::uint64_t seed) {
    support::draws d(seed);
    constexpr u32 lengths[] = {0, 1, chunk_slots - 2, chunk_slots - 1, chunk_slots, chunk_slots + 1, 2 * chunk_slots - 1, 700};
    constexpr u32 dims[] = {2, 8, 12, 22, 64, 128};
    u32 const length = lengths[d.between(0, 7)];
    cache_shape const shape{2, static_cast<u32>(d.between(1, 2)), static_cast<u32>(d.between(1, 18)), dims[d.between(0, 5)], static_cast<u32>(d.between(1, 2))};
    auto const threads = static_cast<u32>(d.chance(0.5) ? 1 : d.between(2, 5));
    split_executor const on{threads, static_cast<split_executor::order>(d.between(0, 2))};
    CAPTURE(length);
    CAPTURE(shape.group);
    CAPTURE(shape.head_dim);
    CAPTURE(threads);
    support::marked_vectors const data{seed, shape};
    pair_of_caches<std::remove_cvref_t<decltype(roco(9, 2))>, Payload, Position, Placement> both(
        shape, roco(710, 2, 3), {.max_piece = 700, .group_threads = threads}, on, position);
    both.prompt(data, length);
    for (u32 t = 0; t < 3; ++t) REQUIRE(both.token(data) == "");
    REQUIRE(both.attend_only(data, 1) == "");
    REQUIRE(both.token(data) == "");
  });
}

/// Tokens whose logits lie a fixed way apart, each its own: no two scores of attention are close.
struct levels {
  support::marked_vectors data;

  support::marked_vectors::piece piece(u32 layer, u32 first, u32 tokens) const {
    auto p = data.make_piece(layer, first, tokens);
    u32 const dim = data.shape.head_dim, heads = data.shape.kv_heads;
    for (std::size_t i = 0; i < p.queries.size(); ++i) p.queries[i] = i % dim == 0 ? 1.5f : 0.0f;
    for (std::size_t token = 0; token < p.keys.size() / dim; ++token) {
      auto const position = static_cast<u32>(first + token / heads % tokens), head = static_cast<u32>(token % heads);
      p.keys[token * dim] = static_cast<float>((position * 151 + head * 40 + layer * 13) % 401) / 100;
    }
    return p;
  }
};

/// A prompt, then tokens past the limit: the same ones stay. Positions of both, row by row.
template <class Placement, class Policy>
void decides_the_same(Policy const& policy, u32 prompt, split_executor::order how) {
  cache_shape const shape{2, 2, 2, 8, 1};
  cache_options const options{.capacity = 330, .max_piece = prompt, .promised = 30};
  levels const data{{11, shape}};
  kv_tensor<Policy, fp32_payload, original_positions, dropped, Placement> here{shape, policy, options};
  kv_tensor<Policy, fp32_payload, original_positions, dropped, Placement, support::split_memory> there{shape, policy, options};
  split_executor const on{1, how};
  for (u32 seen = 0, tokens = prompt; seen < prompt + 25; seen += tokens, tokens = 1) {
    for (u32 l = 0; l < shape.layers; ++l) {
      auto const p = data.piece(l, seen, tokens);
      std::vector<float> want(p.queries.size()), got(want.size(), NAN);
      step(serial_executor{}, here[l], p.view(), want.data());
      step(on, there[l], p.view(), got.data());
      REQUIRE(outputs_apart(got, want) == "");
    }
    evict(serial_executor{}, here);
    evict(on, there);
    for (u32 l = 0; l < shape.layers; ++l) REQUIRE(there.held(l) == here.held(l));
    REQUIRE(apart(there, here) == "");
  }
}

}  // namespace

TEST_CASE("rows: attention and columns are the serial executor's, to rounding, wherever chunks meet") {
  agrees<fp32_payload, original_positions, in_rows>(40);
}

TEST_CASE("other payloads, pages, and keys that are turned, biased or met by a second query") {
  agrees<bf16_payload, in_cache_positions, in_pages>(20);
  agrees<int8_payload, original_positions, in_pages>(10, {{8}});
  agrees<fp16_payload, original_positions, in_pages>(10);
  agrees<fp8_payload, original_positions, in_rows>(20);
}

TEST_CASE("every policy decides the same where scores lie apart") {
  for (support::named_policy const& named : support::named_policies(262)) {
    CAPTURE(named.name);
    decides_the_same<in_rows>(named.value, includes(named.value.facts().moments, moment::prompt_end) ? 270 : 250, split_executor::order::backwards);
  }
}

TEST_CASE("room is made before a token is written, by each head or by all together; heads of their own budgets") {
  auto const making = [](auto const& score, unit who) {
    return policy{uniform_budget{257}, at_prompt_end(score, protect{1, 2}, pick::victims, who), making_room(score, protect{1, 2}, who)};
  };
  decides_the_same<in_rows>(making(mean_attention{}, unit::per_head), 300, split_executor::order::forwards);
  decides_the_same<in_pages>(making(accumulated_attention{}, unit::shared), 255, split_executor::order::forwards);
  policy const ragged{head_budgets{{40, 256, 257, 290}}, over_budget(mean_attention{}, protect{2, 4})};
  decides_the_same<in_rows>(ragged, 289, split_executor::order::backwards);
  decides_the_same<in_pages>(ragged, 289, split_executor::order::forwards);
}

TEST_CASE("a sink's key is met by the query turned back, wherever its chunk") {
  cache_shape const shape{1, 1, 3, 12, 1};
  support::marked_vectors const data{3, shape};
  pair_of_caches<std::remove_cvref_t<decltype(streaming_llm(4, 260))>, fp16_payload, two_query_positions, in_rows> both(
      shape, streaming_llm(4, 260), {.max_piece = 264}, {});
  both.prompt(data, 264);
  for (u32 t = 0; t < 270; ++t) REQUIRE(both.token(data) == "");  // the hole of the oldest is filled by the last: windows wander
}

TEST_CASE("single tokens of a prompt feed nothing where that is silent") {
  cache_shape const shape{1, 2, 2, 8, 1};
  policy const silent = reference_strided(20, 1, mean_attention{}, protect{}, forced_then_varying{2, 2, 1});
  pair_of_caches<std::remove_cvref_t<decltype(silent)>, fp32_payload, original_positions, in_rows> both(shape, silent, {}, {});
  for (u32 t = 0; t < 30; ++t) REQUIRE(both.token({7, shape}, true) == "");
}

TEST_CASE("a step that was captured stays valid as chunks are begun and tokens go") {
  cache_shape const shape{1, 2, 2, 8, 1};
  auto const chosen = streaming_llm(2, 257);
  pair_of_caches<std::remove_cvref_t<decltype(chosen)>, fp16_payload, original_positions, in_pages> both(shape, chosen, {.max_piece = 254}, {});
  support::marked_vectors const data{7, shape};
  both.prompt(data, 254);
  support::marked_vectors::piece there = data.make_piece(0, 254, 1);
  std::vector<float> got(there.queries.size()), want(got.size());
  std::vector<std::function<void()>> graph;
  both.on.captured = &graph;
  step(both.on, both.there[0], there.view(), got.data());
  evict(both.on, both.there);
  CHECK(graph.size() == 3);
  for (u32 seen = 254; seen < 264; ++seen) {
    auto const p = data.make_piece(0, seen, 1);
    step(serial_executor{}, both.here[0], p.view(), want.data());
    evict(serial_executor{}, both.here);
    std::copy(p.queries.begin(), p.queries.end(), there.queries.begin());
    std::copy(p.keys.begin(), p.keys.end(), there.keys.begin());
    std::copy(p.values.begin(), p.values.end(), there.values.begin());
    if (seen > 254) both.there.count_replayed();
    support::poison(both.there);
    for (auto const& task : graph) task();
    REQUIRE(outputs_apart(got, want) == "");
    REQUIRE(apart(both.there, both.here) == "");
    REQUIRE(both.there.held(0) == both.here.held(0));
  }
}

TEST_CASE("a step that was captured goes on with the sequences that are not paused, whatever each holds") {
  cache_shape const shape{2, 2, 2, 8, 3};
  support::marked_vectors const data{9, shape};
  auto const chosen = roco(257, 2, 3);
  pair_of_caches<std::remove_cvref_t<decltype(chosen)>, fp16_payload, original_positions, in_pages> both(shape, chosen, {.max_piece = 300}, {});
  std::vector<u32> seen(3);
  auto const prompt = [&](u32 sequence, u32 tokens) {
    std::vector<float> const masses(std::size_t{shape.kv_heads} * tokens, 1.0f / 16);
    prompt_masses const m{masses.data(), masses.data(), masses.data(), masses.data(), tokens, masses.data()};
    for (u32 l = 0; l < shape.layers; ++l) {
      support::marked_vectors::piece p;
      data.add_sequence(p, l, sequence, 0, tokens);
      compress(serial_executor{}, both.here.sequence(sequence)[l], p.keys.data(), p.values.data(), tokens, m);
      compress(both.on, both.there.sequence(sequence)[l], p.keys.data(), p.values.data(), tokens, m);
    }
    seen[sequence] = tokens;
  };
  split_executor recording;
  std::vector<std::function<void()>> graph;
  recording.captured = &graph;
  std::vector<support::marked_vectors::piece> given;
  std::vector<std::vector<float>> got;
  for (u32 l = 0; l < shape.layers; ++l) {
    given.push_back(data.make_piece(l, 0, 1));
    got.emplace_back(given[l].queries.size());
  }
  auto const step_all = [&] {
    std::string problem;
    bool const first = graph.empty();
    for (u32 l = 0; l < shape.layers; ++l) {
      support::marked_vectors::piece p;
      for (u32 s = 0; s < 3; ++s) data.add_sequence(p, l, s, seen[s], 1);
      std::copy(p.queries.begin(), p.queries.end(), given[l].queries.begin());
      std::copy(p.keys.begin(), p.keys.end(), given[l].keys.begin());
      std::copy(p.values.begin(), p.values.end(), given[l].values.begin());
      if (first) step(recording, both.there[l], given[l].view(), got[l].data());
      got[l].assign(got[l].size(), -7.0f);
    }
    if (first) evict(recording, both.there);
    else both.there.count_replayed();
    support::poison(both.there);
    for (auto const& task : graph) task();
    for (u32 l = 0; l < shape.layers; ++l) {
      std::vector<float> want(got[l].size(), -7.0f);
      step(serial_executor{}, both.here[l], given[l].view(), want.data());
      problem += outputs_apart(got[l], want);
    }
    evict(serial_executor{}, both.here);
    for (u32 s = 0; s < 3; ++s) seen[s] += both.here.paused(s) ? 0u : 1u;
    for (u32 l = 0; l < shape.layers; ++l)
      for (u32 s = 0; s < 3; ++s)
        if (!(both.there.counted(l, s) == both.here.counted(l, s))) problem += "counts differ";
    return problem + apart(both.there, both.here);
  };
  auto const both_do = [&](auto const& verb, u32 sequence) {
    verb(serial_executor{}, both.here.sequence(sequence));
    verb(both.on, both.there.sequence(sequence));
  };
  auto const stop = [](auto const& on, auto part) { pause(on, part); };
  auto const go_on = [](auto const& on, auto part) { resume(on, part); };
  auto const begin_again = [](auto const& on, auto part) { clear(on, part); };
  prompt(0, 254);
  prompt(1, 300);
  both_do(stop, 2);
  for (int i = 0; i < 5; ++i) REQUIRE(step_all() == "");
  both_do(stop, 0);
  both_do(go_on, 2);  // it begins with nothing
  for (int i = 0; i < 5; ++i) REQUIRE(step_all() == "");
  both_do(begin_again, 1);
  prompt(1, 40);
  both_do(go_on, 0);
  for (int i = 0; i < 5; ++i) REQUIRE(step_all() == "");
  for (u32 s = 0; s < 3; ++s) {
    CHECK(both.here.seen(1, s) == seen[s]);
    CHECK(both.there.seen(1, s) == both.there.view().row(shape.row(1, s, 0)).state->next);
  }
  CHECK(both.here.held(0) == 257);
  CHECK(both.here.held(0, 1) == 45);
  CHECK(both.here.held(0, 2) == 10);
}

TEST_CASE("a full row is attended to, and one that holds nothing yet gives nothing") {
  cache_shape const shape{1, 2, 2, 8, 2};
  support::marked_vectors const data{5, shape};
  pair_of_caches<std::remove_cvref_t<decltype(full())>, fp32_payload, original_positions, in_rows> both(shape, full(),
                                                                                                     {.capacity = 257, .max_piece = 257}, {});
  both.prompt(data, 257);
  CHECK(both.attend_only(data, 0) == "");
  both.there.view().states[1].held = 0;  // a row of a batch that has not begun
  auto const p = data.make_piece(0, 257, 1);
  std::vector<float> out(p.queries.size(), NAN);
  attend(both.on, both.there[0], p.queries.data(), out.data());
  for (u32 i = 0; i < out.size(); ++i) CHECK((out[i] == 0) == (i / 16 == 1));
}

TEST_CASE("only a space whose rows are split has room for it, and a plan says how much") {
  cache_shape const shape{1, 2, 2, 8, 2};
  using policy_type = std::remove_cvref_t<decltype(roco(300, 2))>;
  using there = kv_tensor<policy_type, fp32_payload, original_positions, dropped, in_rows, support::split_memory>;
  kv_tensor here(shape, roco(300, 2));
  there const cache(shape, roco(300, 2));
  CHECK(there::plan(shape, roco(300, 2)).workspace == cache.workspace_bytes());
  std::size_t const more = cache.workspace_bytes() - here.workspace_bytes();
  CHECK(more >= shape.layer_rows() * 2 * chunk_results::floats(2, 8) * sizeof(float));  // of 301 slots
  CHECK(here.bound().work.row_chunks == 0);
  CHECK(cache.bound().work.row_chunks == 2);
}

TEST_CASE("where a block has not memory enough for so many heads, a row is one block's") {
  cache_shape const shape{1, 1, 60, 128, 1};
  support::marked_vectors const data{7, shape};
  pair_of_caches<std::remove_cvref_t<decltype(roco(300, 2, 3))>, bf16_payload, original_positions, in_rows> both(shape, roco(300, 2, 3), {}, {});
  CHECK(both.there.bound().work.row_chunks == 0);
  for (u32 t = 0; t < 4; ++t) REQUIRE(both.token(data) == "");
}
