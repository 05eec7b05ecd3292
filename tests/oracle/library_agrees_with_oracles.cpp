// The library against the oracles: random traces, random policies, every decision and every attention output.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <kvsift/policy/catalogue.hpp>
#include <oracle/replay_oracle.hpp>
#include <support/approx.hpp>
#include <support/described_policy.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

std::uint32_t u32(int x) { return static_cast<std::uint32_t>(x); }

struct library_run {
  std::vector<oracle::event> events;
  std::vector<float> attention;  // [tokens - prompt, query_heads, dim]
};

/// The trace of a case through step and evict. threads: of the largest group that `on` runs a block with.
template <class Executor>
library_run run_library(Executor const& on, std::uint32_t threads, support::random_case const& c) {
  oracle::trace const& t = c.trace;
  kvsift::policy_fields fields = support::fields_of(c.policy);
  if (t.bits != 0) {
    fields.projection = {t.projection.data(), t.projection.size()};
    fields.projection_bits = u32(t.bits);
  }
  if (!t.uniforms.empty()) fields.draws = {t.uniforms.data(), u32(t.tokens), 1, u32(t.kv_heads)};
  kvsift::catalogue_policy const policy = kvsift::make_policy(fields);
  kvsift::cache_shape const shape{1, u32(t.kv_heads), u32(t.group()), u32(t.dim), 1};
  kvsift::cache_options const options{.capacity = policy.bounded ? 0 : u32(t.tokens),
                                      .max_piece = u32(c.prompt),
                                      .promised = u32(t.tokens - c.prompt),
                                      .group_threads = threads};
  kvsift::kv_tensor<kvsift::any_policy> cache{shape, policy.value, options};

  library_run result;
  std::vector<std::vector<int>> held(static_cast<std::size_t>(t.kv_heads));
  auto const feed = [&](int first, int tokens) {
    std::vector<float> out(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(t.query_heads * t.dim));
    kvsift::step(on, cache.layer(0), {t.query(first, 0), t.key(first, 0), t.value(first, 0), u32(tokens), first < c.prompt}, out.data());
    kvsift::evict(on, cache);
    for (int h = 0; h < t.kv_heads; ++h) {
      std::vector<int>& had = held[static_cast<std::size_t>(h)];
      for (int i = 0; i < tokens; ++i) had.push_back(first + i);
      auto const row = cache.view().row(u32(h));
      std::vector<int> now(row.positions.data(), row.positions + row.state->held), gone;
      std::sort(now.begin(), now.end());
      std::set_difference(had.begin(), had.end(), now.begin(), now.end(), std::back_inserter(gone));
      had = now;
      if (!gone.empty()) result.events.push_back({oracle::event::kind::evict, first + tokens - 1, h, 0, gone});
    }
    return out;
  };
  for (int first = 0, piece = 0; first < c.prompt; first += piece) {
    piece = static_cast<int>(cache.next_piece(0, u32(c.prompt - first)));
    feed(first, piece);
  }
  for (int h = 0; h < t.kv_heads; ++h) {
    int const slots = policy.bounded ? static_cast<int>(cache.view().row(u32(h)).state->limit) : t.tokens;
    result.events.push_back({oracle::event::kind::budget, 0, h, slots, {}});
  }
  for (int token = c.prompt; token < t.tokens; ++token) {
    std::vector<float> const out = feed(token, 1);
    result.attention.insert(result.attention.end(), out.begin(), out.end());
  }
  for (int h = 0; h < t.kv_heads; ++h) {
    result.events.push_back({oracle::event::kind::final, 0, h, 0, held[static_cast<std::size_t>(h)]});
  }
  return result;
}

/// Agreement of a case, up to the first decision that is too close for float32.
void agrees(library_run const& got, support::random_case const& c) {
  std::size_t const dim = static_cast<std::size_t>(c.trace.dim);
  int const end = c.comparable_steps();
  std::vector<std::string> lines, expected;
  auto const keep = [&](std::vector<oracle::event> const& events, std::vector<std::string>& to) {
    for (oracle::event const& e : events) {
      bool const at_the_end = e.what == oracle::event::kind::final;
      if (at_the_end ? end == c.trace.tokens : e.step < end) to.push_back(oracle::to_line(e));
    }
  };
  keep(got.events, lines);
  keep(c.expected.events, expected);
  for (std::size_t i = 0; i < std::min(lines.size(), expected.size()); ++i) REQUIRE(lines[i] == expected[i]);
  REQUIRE(lines.size() == expected.size());

  REQUIRE(got.attention.size() == c.expected.attention.size());
  std::size_t const comparable =
      static_cast<std::size_t>(std::max(0, end - c.prompt)) * static_cast<std::size_t>(c.trace.query_heads) * dim;
  std::vector<float> const outputs(got.attention.begin(), got.attention.begin() + static_cast<long>(comparable));
  std::vector<double> const wanted(c.expected.attention.begin(),
                                   c.expected.attention.begin() + static_cast<long>(comparable));
  CHECK(support::first_difference(outputs, wanted, dim, 1e-4, 0.1) == "");
}

}  // namespace

TEST_CASE("the library decides and attends as the oracles do") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    for (std::string const& policy : oracle::policy_names()) {
      support::random_case const c = support::make_random_case(seed, policy);
      INFO(oracle::to_json(c.policy), ", prompt ", c.prompt, ", tokens ", c.trace.tokens, ", query heads ",
           c.trace.query_heads, ", KV heads ", c.trace.kv_heads, ", dim ", c.trace.dim);
      agrees(run_library(kvsift::serial_executor{}, 1, c), c);
    }
  });
}

TEST_CASE("threads and emulated blocks decide as the oracles do") {
  support::for_each_seed(4, [](std::uint64_t seed) {
    for (std::string const& policy : oracle::policy_names()) {
      support::random_case const c = support::make_random_case(seed, policy, 32);
      INFO(oracle::to_json(c.policy), ", prompt ", c.prompt, ", tokens ", c.trace.tokens);
      agrees(run_library(kvsift::parallel_executor{}, 1, c), c);
      agrees(run_library(support::thread_group_executor{3}, 3, c), c);
    }
  });
}
