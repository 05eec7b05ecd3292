// Selection by groups with memory, against a sort: rows that fit there and rows that do not, samples that mislead, and how often keys are read.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/collective/select.hpp>
#include <support/block_memory.hpp>
#include <support/ordered_items.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;
using kvsift::selection_cut;
using support::ordered_items;

/// What every thread of a group found, and how often all of them asked for a key.
struct outcome {
  std::vector<selection_cut> cuts;
  std::size_t reads;
};

/// Threads have memory for `kept` values, or none if that is 0.
outcome select(ordered_items const& x, u32 count, u32 threads, u32 kept) {
  std::vector<selection_cut> cuts(threads);
  std::vector<std::size_t> reads(threads);
  std::vector<u32> scratch(2 * threads, 77);
  u32 const room = kvsift::detail::room_for(kept);
  support::block_memory memory(room);
  support::thread_group_executor{threads}.launch(1, [&](support::thread_group const& g, u32) {
    auto const run = [&](auto const& in) {
      u32 const mine = in.thread_rank();
      cuts[mine] = kvsift::select_lowest(in, [&](u32 i) { return ++reads[mine], x.keys[i]; }, [&](u32 i) { return x.ties[i]; }, x.size(), count,
                                         kept != 0 ? nullptr : scratch.data());
    };
    if (kept == 0) run(g);
    else kvsift::with_room(support::with_memory(g, memory.data()), room, run);
  });
  return {cuts, std::accumulate(reads.begin(), reads.end(), std::size_t{0})};
}

u32 sample_size(u32 n, u32 kept) { return kvsift::detail::sample_of(n, kept).size(); }

}  // namespace

TEST_CASE("groups of any size, with memory for much or little, find the cut of a sort bit for bit, and read keys a bounded number of times") {
  support::for_each_seed(160, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const threads = d.one_of(std::vector<u32>{1, 2, 31, 32, 33, 128}), kept = d.one_of(std::vector<u32>{64, 100, 256, 480, 1000});
    std::vector<u32> const sizes{1, 2, 7, 8, 9, 63, 127, 128, kept - 1, kept, kept + 1, kept * 2 + 1, kept * 5, kept * 16 + 5};
    u32 const n = d.chance(0.6) ? d.one_of(sizes) : static_cast<u32>(d.between(1, 3000));
    std::string kind;
    ordered_items const x = support::adversarial_items(d, n, kind);
    std::vector<u32> const order = x.sorted();
    CAPTURE(threads);
    CAPTURE(kept);
    CAPTURE(n);
    CAPTURE(kind);
    for (u32 const count : {0u, 1u, static_cast<u32>(d.between(0, static_cast<int>(n))), n - 1, n}) {
      CAPTURE(count);
      selection_cut const want = ordered_items::cut_of_sort(x, order, count);
      outcome const with = select(x, count, threads, kept);
      for (selection_cut const& cut : with.cuts) REQUIRE(support::same(cut, want));
      if (count == 0 || count == n) CHECK(with.reads == 0);
      else if (n <= kept) CHECK(with.reads == n);
      else CHECK(with.reads <= (want.tie == 0xffffffffu ? 1 : 2) * std::size_t{n * 5 + sample_size(n, kept)});
      if (d.chance(0.1))
        for (selection_cut const& cut : select(x, count, threads, 0).cuts) REQUIRE(support::same(cut, want));
    }
  });
}

TEST_CASE("a long row is read once, its sample once more, and both again where the cut falls among equals") {
  support::for_each_seed(10, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const threads = 33, kept = 1000, n = static_cast<u32>(d.between(8000, 20000)), once = n + sample_size(n, kept);
    CHECK(sample_size(n, kept) <= n / 16);
    ordered_items x, equal;
    for (u32 i = 0; i < n; ++i) {
      x.keys.push_back(static_cast<u32>(d.bits()));
      x.ties.push_back(i);
    }
    equal = x;
    equal.keys.assign(n, 7);
    u32 const count = static_cast<u32>(d.between(1, static_cast<int>(n) / 30));
    CAPTURE(n);
    CAPTURE(count);
    outcome const apart = select(x, count, threads, kept);
    CHECK(support::same(apart.cuts[0], ordered_items::cut_of_sort(x, x.sorted(), count)));
    CHECK(apart.reads == once);
    outcome const alike = select(equal, count, threads, kept);
    CHECK(alike.cuts[0].key == 7);
    CHECK(alike.cuts[0].tie == count - 1);
    CHECK(alike.reads == 2 * once);
  });
}

TEST_CASE("where the sample misleads, the digits of all keys decide: four times more") {
  u32 const kept = 256, n = 5000, size = sample_size(n, kept), once = n + size;
  kvsift::detail::sample_of const sample(n, kept);
  std::vector<bool> sampled(n);
  for (u32 j = 0; j < size; ++j) sampled[sample(j)] = true;
  CHECK(static_cast<u32>(std::count(sampled.begin(), sampled.end(), true)) == size);
  u32 const middle = n / 2;
  for (bool const outside : {true, false}) {  // all of the sample is too low, or half of it far below and half far above what is sought
    CAPTURE(outside);
    ordered_items x;
    for (u32 i = 0, seen = 0; i < n; ++i) {
      u32 const extreme = outside || ++seen % 2 == 0 ? i : 0xf0000000u + i;
      x.keys.push_back(sampled[i] ? extreme : 0x10000000u + i * 7919u % 5003u);
      x.ties.push_back(n - i);
    }
    for (u32 const threads : {1u, 40u}) {
      outcome const found = select(x, middle, threads, kept);
      for (selection_cut const& cut : found.cuts) CHECK(support::same(cut, ordered_items::cut_of_sort(x, x.sorted(), middle)));
      CHECK(found.reads == once + 4 * n);
    }
  }
}

TEST_CASE("a bracket's values are counted and kept exactly, the highest of all among them, and a rank tells how many are equal") {
  support::for_each_seed(20, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const threads = d.one_of(std::vector<u32>{1, 3, 32, 33}), n = static_cast<u32>(d.between(1, 300)), begin = static_cast<u32>(d.between(0, 9));
    std::vector<u32> const some{0, 1, 5, 6, 0xfffffffeu, 0xffffffffu};
    std::vector<u32> x;
    for (u32 i = 0; i < begin + n; ++i) x.push_back(d.chance(0.7) ? d.one_of(some) : static_cast<u32>(d.bits()));
    u32 const a = d.one_of(some), b = d.one_of(some), rank = static_cast<u32>(d.between(1, static_cast<int>(n)));
    kvsift::detail::value_bracket const bracket{std::min(a, b), std::max(a, b)};
    kvsift::detail::bracket_tally want, got;
    std::vector<u32> inside, kept, sorted(x.begin() + begin, x.end());
    std::sort(sorted.begin(), sorted.end());
    for (u32 const v : sorted) {
      want.below += v < bracket.low ? 1u : 0u;
      want.lows += v == bracket.low ? 1u : 0u;
      want.highs += v == bracket.high && v != bracket.low ? 1u : 0u;
      if (v > bracket.low && v < bracket.high) inside.push_back(v);
    }
    kvsift::detail::ranked_value found;
    u32 const room = kvsift::detail::room_for(400);
    support::block_memory memory(room);
    support::thread_group_executor{threads}.launch(1, [&](support::thread_group const& g, u32) {
      kvsift::with_room(support::with_memory(g, memory.data()), room, [&](auto const& in) {
        auto const value = [&](u32 i) { return x[i]; };
        auto const tally = kvsift::detail::tally_and_keep(in, value, begin, begin + n, bracket);
        if (in.thread_rank() == 0) {
          got = tally;
          auto const* const values = reinterpret_cast<u32 const*>(in.memory()) + kvsift::detail::selection_words;
          kept.assign(values, values + tally.inside);
        }
        in.sync();
        auto const ranked = kvsift::detail::ranked_by_digits(in, value, begin, begin + n, rank);
        if (in.thread_rank() == 0) found = ranked;
      });
    });
    std::sort(kept.begin(), kept.end());
    CHECK(kept == inside);
    CHECK(got.below == want.below);
    CHECK(got.lows == want.lows);
    CHECK(got.highs == want.highs);
    CHECK(found.value == sorted[rank - 1]);
    CHECK(found.below == static_cast<u32>(std::lower_bound(sorted.begin(), sorted.end(), found.value) - sorted.begin()));
    CHECK(found.equal == static_cast<u32>(std::count(sorted.begin(), sorted.end(), found.value)));
  });
}

TEST_CASE("a sample takes one item in sixteen or fewer, eight neighbours at a time, of all of a row") {
  for (u32 const n : {100u, 129u, 1000u, 8192u, 100000u, 1u << 20})
    for (u32 const kept : {64u, 1000u, 5600u, 11744u}) {
      if (n <= kept) continue;
      kvsift::detail::sample_of const sample(n, kept);
      CAPTURE(n);
      CAPTURE(kept);
      CHECK(sample.size() <= kept);
      CHECK(sample.size() >= 8);
      CHECK((n < 128 || sample.size() <= n / 16));
      u32 const stretch = n / sample.size();
      for (u32 j = 0; j < sample.size(); ++j) {
        REQUIRE(sample(j) < n);
        if (j % 8 != 0) REQUIRE(sample(j) == sample(j - 1) + 1);
        else if (j != 0) REQUIRE(sample(j) - sample(j - 8) <= 2 * 8 * (stretch + 1));
      }
    }
}
