// Rows that several blocks share, blocks at the same time and in other orders, on groups of 1, 32, 33 and 128 threads: what one block
// writes and another reads without a launch between is a race that ThreadSanitizer reports, and results are the same bits.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/poison.hpp>
#include <support/snapshot.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using support::split_executor;
using u32 = std::uint32_t;

struct result {
  std::vector<float> out{};
  support::snapshot cache{};
};

/// Tokens that fill a chunk and begin the next one.
template <class Payload, class Position, class Placement, class Policy>
result run(split_executor const& on, Policy const& policy) {
  cache_shape const shape{1, 2, 2, 10, 1};
  kv_tensor<Policy, Payload, Position, dropped, Placement, support::split_memory> cache{
      shape, policy, {.max_piece = chunk_slots - 1, .group_threads = on.threads}};
  support::marked_vectors const data{5, shape};
  auto const prompt = data.make_piece(0, 0, chunk_slots - 1);
  std::vector<float> const masses(std::size_t{2} * chunk_slots, 1.0f / 16);
  prompt_masses const m{masses.data(), masses.data(), masses.data(), masses.data(), chunk_slots, masses.data()};
  compress(split_executor{on.threads}, cache[0], prompt.keys.data(), prompt.values.data(), chunk_slots - 1, m);
  result r;
  for (u32 seen = chunk_slots - 1; seen < chunk_slots + 2; ++seen) {
    support::poison(cache);
    auto const p = data.make_piece(0, seen, 1);
    std::vector<float> out(p.queries.size());
    step(on, cache[0], p.view(), out.data());
    evict(on, cache);
    r.out.insert(r.out.end(), out.begin(), out.end());
  }
  r.cache = support::take_snapshot(cache.view());
  return r;
}

template <class Payload, class Position, class Placement, class Policy>
void agrees(Policy const& policy) {
  using enum split_executor::order;
  result const want = run<Payload, Position, Placement>({}, policy);
  for (split_executor const on : {split_executor{1, at_once}, split_executor{32, at_once}, split_executor{33, at_once}, split_executor{128, backwards}}) {
    CAPTURE(on.threads);
    result const got = run<Payload, Position, Placement>(on, policy);
    CHECK(support::difference(got.cache, want.cache) == "");
    CHECK(got.out == want.out);
  }
}

}  // namespace

TEST_CASE("a token is written by one block of a row, and its chunks are put together") {
  agrees<fp32_payload, original_positions, in_rows>(roco(chunk_slots + 1, 2, 3));
  agrees<int8_payload, in_cache_positions, in_pages>(mean_attention_policy(chunk_slots, 2));
  agrees<fp8_payload, original_positions, in_pages>(roco(chunk_slots + 1, 2, 3));
}

TEST_CASE("room is made in a launch of its own") {
  agrees<fp32_payload, original_positions, in_pages>(heavy_hitter(chunk_slots + 1, 2, 2, 5, true));
}

namespace {

/// Of a prompt of three chunks its survivors.
template <class Payload, class Placement, class Policy>
void cuts_alike(Policy const& policy) {
  using enum split_executor::order;
  cache_shape const shape{1, 2, 2, 10, 1};
  u32 const tokens = 2 * chunk_slots + 30;
  support::marked_vectors const data{5, shape};
  auto const prompt = data.make_piece(0, 0, tokens);
  std::vector<float> masses(std::size_t{2} * tokens);
  for (std::size_t i = 0; i < masses.size(); ++i) masses[i] = static_cast<float>(i * 7 % 50) / 64;
  prompt_masses const m{masses.data(), masses.data(), masses.data(), masses.data(), tokens, masses.data()};
  support::snapshot want;
  for (split_executor const on : {split_executor{}, split_executor{1, at_once}, split_executor{32, at_once}, split_executor{33, at_once}, split_executor{128, backwards}}) {
    CAPTURE(on.threads);
    kv_tensor<Policy, Payload, original_positions, dropped, Placement, support::split_memory> cache{
        shape, policy, {.max_piece = tokens, .group_threads = on.threads}};
    support::poison_scratch(cache);
    compress(on, cache[0], prompt.keys.data(), prompt.values.data(), tokens, m);
    support::snapshot const got = support::take_snapshot(cache.view());
    if (want.empty()) want = got;
    CHECK(support::difference(got, want) == "");
  }
}

}  // namespace

TEST_CASE("a prompt is scored and written by chunks, and cut by rows") {
  cuts_alike<fp32_payload, in_rows>(roco(100, 2, 20));
  cuts_alike<int8_payload, in_pages>(snapkv(300, 3, 5));
  cuts_alike<fp16_payload, in_pages>(ada_snapkv(70, 3, 5));
  cuts_alike<fp16_payload, in_rows>(tova(70, true, 1));
}

TEST_CASE("blocks of a prompt's row find the sums of their tiles, then the mass of them") {
  for (u32 const dim : {3u, 20u}) {
    cache_shape const shape{1, 2, 2, dim, 1};
    u32 const tokens = 300, window = 5;
    std::vector<float> queries(std::size_t{window} * 4 * dim);
    host_memory const key_memory(std::size_t{tokens} * 2 * dim * sizeof(float));
    auto* const keys = reinterpret_cast<float*>(key_memory.data());
    for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = static_cast<float>(i % 7) - 3;
    for (std::size_t i = 0; i < std::size_t{tokens} * 2 * dim; ++i) keys[i] = static_cast<float>(i % 11) / 4 - 1;
    observation_window const given{queries.data(), keys, tokens, window};
    using enum split_executor::order;
    std::vector<float> want;
    for (split_executor const on : {split_executor{}, split_executor{1, at_once}, split_executor{32, backwards}, split_executor{33, backwards}, split_executor{128, forwards}}) {
      CAPTURE(on.threads);
      std::size_t const bytes = attention_mass_bytes<split_executor>(shape, given, on.threads);
      host_memory const workspace(bytes);
      std::vector<float> mass(2 * tokens, -1.0f);
      attention_mass(on, shape, given, mass.data(), tokens, workspace.data(), bytes, on.threads);
      if (want.empty()) want = mass;
      CHECK(mass == want);
    }
  }
}
