// The score of the documentation, word for word: it works in every layout, over a prompt and in decode, and nothing
// else knows of it.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#define main documented_main  // the example itself, with its struct and its policy
#include <examples/first_steps/02_your_own_policy.cpp>
#undef main

#include <laws/scenario.hpp>
#include <oracle/attention.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// What stays of a prompt of `fed[0]` tokens and `fed[1]` more, by the definition in plain loops: S1 / sqrt(c), the
/// lowest goes.
std::vector<u32> expected(oracle::trace const& t, u32 budget, kvsift::protect guards, std::vector<u32> const& fed,
                          bool& close) {
  struct slot {
    u32 position;
    double sum;
    int rows;
  };
  std::vector<slot> held;
  u32 token = 0;
  for (std::size_t piece = 0; piece < fed.size(); ++piece) {
    for (u32 end = token + fed[piece]; token < end; ++token) {
      held.push_back({token, 0, 0});
      std::vector<int> positions;
      for (slot const& s : held) positions.push_back(static_cast<int>(s.position));
      std::vector<double> const row = oracle::group_row(t, static_cast<int>(token), 0, positions);
      for (std::size_t i = 0; i < row.size(); ++i) held[i].sum += row[i], ++held[i].rows;
    }
    while (held.size() > budget) {
      std::size_t lowest = held.size();
      double best = 0, second = INFINITY;
      for (std::size_t i = 0; i < held.size(); ++i) {
        if (held[i].position < guards.sinks || held[i].position + guards.newest >= token) continue;
        double const score = held[i].sum / std::sqrt(held[i].rows);
        if (lowest == held.size() || score < best) {
          if (lowest != held.size()) second = best;
          lowest = i;
          best = score;
        } else {
          second = std::min(second, score);
        }
      }
      close = close || second - best < 1e-5 * second;
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(lowest));
    }
  }
  std::vector<u32> positions;
  for (slot const& s : held) positions.push_back(s.position);
  return positions;
}

}  // namespace

TEST_CASE("the documentation's own score, in rows and pages, slots and dense, on prompt and decode") {
  constexpr kvsift::protect guards{.sinks = 4, .newest = 16};
  constexpr kvsift::policy smaller{kvsift::uniform_budget{40}, mine.rules.first};
  u32 compared = 0;
  support::for_each_seed(30, [&](std::uint64_t seed) {
    support::draws d(seed);
    oracle::trace const t = support::random_trace(d, {90, 2, 1, 8});
    std::vector<u32> fed{seed % 3 == 0 ? 1u : static_cast<u32>(d.between(30, 80))};
    u32 sum = fed[0];
    for (; sum < 90; ++sum) fed.push_back(1);
    bool close = false;
    std::vector<u32> const want = expected(t, 40, guards, fed, close);
    if (close) return;
    ++compared;
    auto const check = [&](auto placement, kvsift::layout order) {
      kvsift::kv_tensor cache{kvsift::cache_shape{1, 1, 2, 8, 1}, smaller,           {.max_piece = 90, .order = order},
                              kvsift::original_positions{},       kvsift::dropped{}, placement};
      std::vector<float> out(90 * 2 * 8);
      int first = 0;
      for (u32 const tokens : fed) {
        kvsift::step(kvsift::serial_executor{}, cache[0],
                     {t.query(first, 0), t.key(first, 0), t.value(first, 0), tokens}, out.data());
        kvsift::evict(kvsift::serial_executor{}, cache);
        first += static_cast<int>(tokens);
      }
      auto const row = cache.view().row(0);
      std::vector<u32> held;
      for (u32 i = 0; i < row.state->held; ++i) held.push_back(row.positions[i]);
      std::sort(held.begin(), held.end());
      CHECK(support::listed(held) == support::listed(want));
    };
    for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense}) {
      check(kvsift::in_rows{}, order);
      check(kvsift::in_pages{}, order);
    }
  });
  CHECK(compared > support::often(15));
}
