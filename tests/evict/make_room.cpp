// Room for a piece that is announced, and the reservoir whose query needs it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/listed.hpp>
#include <support/marked_vectors.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;
constexpr serial_executor on{};

template <class Cache>
std::string held(Cache const& cache, u32 row = 0) {
  auto const view = cache.view().row(row);
  std::vector<u32> p(view.positions.data(), view.positions.data() + view.state->held);
  std::sort(p.begin(), p.end());
  return support::listed(p);
}

/// `tokens` tokens one by one, each followed by an eviction; masses [kv_heads, 16], one row for all of them.
template <class Cache>
void feed(Cache& cache, u32 tokens, std::vector<float> const& masses) {
  support::marked_vectors const data{1, cache.shape()};
  for (u32 t = 0; t < tokens; ++t) {
    support::marked_vectors::piece const p = data.make_piece(0, t, 1);
    append(on, cache[0], p.keys.data(), p.values.data());
    observe(on, cache[0], masses.data(), 16);
    evict(on, cache);
  }
}

/// What StreamingLLM with two sinks and a window of three keeps of `tokens` tokens once room is made for m.
std::string streaming(u32 tokens, u32 m) {
  kv_tensor cache{cache_shape{}, streaming_llm(2, 3)};
  feed(cache, tokens, std::vector<float>(16, 0.1f));
  make_room(on, cache, m);
  return held(cache);
}

}  // namespace

TEST_CASE("streaming_llm gives way in its window, and refuses what not even that can hold") {
  CHECK(streaming(3, 2) == "0 1 2");
  CHECK(streaming(4, 2) == "0 1 3");
  CHECK(streaming(9, 1) == "0 1 7 8");
  CHECK(streaming(9, 2) == "0 1 8");
  CHECK(streaming(9, 3) == "0 1");
  CHECK_THROWS_WITH(
      streaming(9, 4),
      "tokens is 4; exceeds what the sinks, excluded and pinned slots leave of the limit; announce fewer at once");
  kv_tensor full_cache{cache_shape{}, full(), {.capacity = 4}};
  CHECK_THROWS_WITH(make_room(on, full_cache, 1), "tokens is 1; cannot get room: no rule of the policy makes any");
}

TEST_CASE("room is made in every layer and head, and a piece that was announced evicts nothing") {
  cache_shape const shape{2, 2, 1, 8, 1};
  support::marked_vectors const data{3, shape};
  kv_tensor cache{shape, roco(12, 2, 3), {.max_piece = 20}};
  std::vector<float> out(20 * 2 * 8);
  auto const piece = [&](u32 first, u32 tokens) {
    for (u32 l = 0; l < 2; ++l) step(on, cache[l], data.make_piece(l, first, tokens).view(), out.data());
  };
  piece(0, 20);
  make_room(on, cache, 5);
  for (u32 r = 0; r < 4; ++r) CHECK(cache.view().row(r).state->held == 7);
  std::vector<std::string> before;
  for (u32 r = 0; r < 4; ++r) before.push_back(held(cache, r) + " 20 21 22 23 24");
  piece(20, 5);
  evict(on, cache);
  for (u32 r = 0; r < 4; ++r) CHECK(held(cache, r) == before[r]);
}

TEST_CASE("reservoir: draws decide who stays, and the last token's attention who makes room for a query") {
  std::vector<float> const draws = [] {
    std::vector<float> all(6 * 3, 0.999f);
    all[15] = 0.639427f, all[16] = 0.025011f, all[17] = 0.275029f;
    return all;
  }();
  kv_tensor cache{cache_shape{1, 3, 1, 8, 1}, reservoir(2, 3, 0, {draws.data(), 6, 1, 3})};
  std::vector<float> masses(3 * 16);
  float const rows[3][6] = {
      {.40f, .10f, .30f, .05f, .05f, .10f}, {.20f, .30f, .04f, .16f, .10f, .20f}, {.15f, .15f, .30f, .10f, .10f, .20f}};
  for (std::size_t h = 0; h < 3; ++h) std::copy(rows[h], rows[h] + 6, masses.begin() + static_cast<long>(16 * h));
  feed(cache, 6, masses);
  CHECK(held(cache, 0) == "0 1 3 4 5");
  CHECK(held(cache, 1) == "1 2 3 4 5");
  CHECK(held(cache, 2) == "1 2 3 4 5");
  make_room(on, cache, 2);
  CHECK(held(cache, 0) == "0 1 5");
  CHECK(held(cache, 1) == "1 3 5");
  CHECK(held(cache, 2) == "1 2 5");
}

TEST_CASE(
    "reservoir: the window is never broken, and a candidate is taken in as often as the newest query attends to it") {
  u32 const sinks = 2, recent = 3, heads = 4, tokens = 3000;
  for (layout const order : {layout::slots, layout::dense}) {
    kv_tensor cache{cache_shape{1, heads, 1, 8, 1}, reservoir(sinks, recent, 5), {.order = order}};
    support::marked_vectors const data{1, cache.shape()};
    std::vector<float> const masses(heads * 16, 1.0f / 6);
    u32 taken = 0, decisions = 0, broken = 0;
    for (u32 t = 0; t < tokens; ++t) {
      support::marked_vectors::piece const p = data.make_piece(0, t, 1);
      append(on, cache[0], p.keys.data(), p.values.data());
      observe(on, cache[0], masses.data(), 16);
      evict(on, cache);
      if (t < sinks + recent) continue;
      for (u32 h = 0; h < heads; ++h) {
        auto const row = cache.view().row(h);
        auto const has = [&](u32 position) {
          u32 const *const begin = row.positions.data(), *const end = begin + row.state->held;
          return std::find(begin, end, position) != end;
        };
        for (u32 i = 0; i < recent; ++i) broken += has(t - i) ? 0u : 1u;
        taken += has(t - recent) ? 1u : 0u;
        ++decisions;
      }
    }
    CHECK(broken == 0);
    double const expected = decisions / 6.0;
    CHECK(std::abs(taken - expected) < 5 * std::sqrt(expected * 5 / 6));
  }
}
