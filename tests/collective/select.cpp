// The selection primitive against a sort: any count, many ties, any number of threads.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/collective/select.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;

struct items {
  std::vector<u32> keys, ties;

  std::vector<u32> sorted() const {
    std::vector<u32> order(keys.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](u32 a, u32 b) { return keys[a] != keys[b] ? keys[a] < keys[b] : ties[a] < ties[b]; });
    return order;
  }
  template <class G>
  kvsift::selection_cut cut(G const& g, u32 count, u32* scratch) const {
    return kvsift::select_lowest(g, [&](u32 i) { return keys[i]; }, [&](u32 i) { return ties[i]; }, static_cast<u32>(keys.size()), count, scratch);
  }
  void agrees(kvsift::selection_cut const& cut, u32 count) const {
    std::vector<u32> const order = sorted();
    for (u32 rank = 0; rank < order.size(); ++rank) {
      CAPTURE(rank);
      REQUIRE(cut.holds(keys[order[rank]], ties[order[rank]]) == (rank < count));
    }
  }
};

items random_items(support::draws& d) {
  items x;
  u32 const n = static_cast<u32>(d.between(1, 70));
  int const kinds = d.between(1, 6);
  u32 const extremes[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu};
  for (u32 i = 0; i < n; ++i) {
    x.keys.push_back(d.chance(0.3) ? static_cast<u32>(d.bits()) : extremes[d.between(0, kinds - 1)]);
    x.ties.push_back(i * 3);
  }
  for (u32 i = n; i-- > 1;) std::swap(x.ties[i], x.ties[static_cast<u32>(d.between(0, static_cast<int>(i)))]);
  if (d.chance(0.3)) x.ties[0] = 0xfffffffeu;
  return x;
}

}  // namespace

TEST_CASE("the cut takes the lowest of a sort, for every count") {
  support::for_each_seed(200, [](std::uint64_t seed) {
    support::draws d(seed);
    items const x = random_items(d);
    for (u32 count = 0; count <= x.keys.size() + 1; ++count) {
      CAPTURE(count);
      x.agrees(x.cut(kvsift::serial_group{}, count, nullptr), count);
    }
  });
}

TEST_CASE("every thread of a group finds the same cut") {
  support::for_each_seed(6, [](std::uint64_t seed) {
    support::draws d(seed);
    items const x = random_items(d);
    u32 const count = static_cast<u32>(d.between(0, static_cast<int>(x.keys.size())));
    for (u32 const threads : {2u, 5u, 33u}) {
      CAPTURE(threads);
      std::vector<u32> scratch(2 * threads);
      std::vector<kvsift::selection_cut> cuts(threads);
      support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) { cuts[g.thread_rank()] = x.cut(g, count, scratch.data()); });
      for (kvsift::selection_cut const& cut : cuts) x.agrees(cut, count);
    }
  });
}

TEST_CASE("groups of 32 threads and more find one thread's cut bit for bit, in a quarter of the passes") {
  support::for_each_seed(8, [](std::uint64_t seed) {
    support::draws d(seed);
    bool const crowded = seed % 4 == 1;  // a thread has more equal digits than one counter holds
    u32 const threads = crowded ? 32 : d.one_of(std::vector<u32>{31, 32, 33, 64, 128}), n = static_cast<u32>(crowded ? 9500 : d.between(2, 3000));
    int const kinds = d.one_of(crowded ? std::vector<int>{1, 3} : std::vector<int>{1, 3, 1000, 0x7fffffff});
    items x;
    for (u32 i = 0; i < n; ++i) {
      x.keys.push_back(static_cast<u32>(d.between(0, kinds - 1)) * (kinds == 3 ? 0x7fffffffu : 1u));
      x.ties.push_back((n - i) * 400000u);
    }
    CAPTURE(threads);
    CAPTURE(n);
    CAPTURE(kinds);
    std::vector<u32> scratch(2 * threads, 77);
    for (u32 const count : {1u, n / 3 + 1, n - 1, n}) {
      CAPTURE(count);
      kvsift::selection_cut const want = x.cut(kvsift::serial_group{}, count, nullptr);
      std::vector<kvsift::selection_cut> cuts(threads);
      std::vector<std::size_t> looked(threads);
      support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) {
        u32 const mine = g.thread_rank();
        cuts[mine] = kvsift::select_lowest(g, [&](u32 i) { return ++looked[mine], x.keys[i]; }, [&](u32 i) { return x.ties[i]; }, n, count, scratch.data());
      });
      for (kvsift::selection_cut const& cut : cuts) {
        REQUIRE(cut.key == want.key);
        REQUIRE(cut.tie == want.tie);
        REQUIRE(cut.nothing == want.nothing);
      }
      std::size_t const passes = std::accumulate(looked.begin(), looked.end(), std::size_t{0}) / n;
      if (count < n) CHECK(passes == (threads < 32 ? (want.tie == 0xffffffffu ? 33 : 65) : want.tie == 0xffffffffu ? 8 : 16));
    }
  });
}

TEST_CASE("sums and minima are known to every thread") {
  for (u32 const threads : {1u, 2u, 33u}) {
    std::vector<u32> scratch(2 * threads), sums(threads);
    std::vector<std::uint64_t> lowest(threads);
    support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) {
      u32 const mine = g.thread_rank() + 1;
      sums[g.thread_rank()] = kvsift::group_sum(g, scratch.data(), mine);
      lowest[g.thread_rank()] = kvsift::group_min(g, scratch.data(), (std::uint64_t{threads - mine} << 33) + 5);
    });
    CHECK(sums == std::vector<u32>(threads, threads * (threads + 1) / 2));
    CHECK(lowest == std::vector<std::uint64_t>(threads, 5));
  }
}
