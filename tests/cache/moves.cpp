// Slots leave a row, one or many at a time: what stays keeps its vectors, position, rank and columns, in rows and in pages.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <contract/hostile.hpp>
#include <kvsift/kvsift.hpp>
#include <support/filled_rows.hpp>
#include <support/pages.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/snapshot.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;

constexpr kvsift::cache_shape shape{1, 3, 1, 5, 1};

template <class Placement>
auto filled(u32 held, kvsift::layout order, std::uint64_t seed) {
  return support::filled_rows<Placement, hostile::odd_payload>(shape, held, order, seed);
}

/// What must be left of a row: the hole-filling move takes survivors from behind the new end into holes, first into first.
support::row_content expected(support::row_content row, std::vector<u32> const& goes, kvsift::layout order) {
  std::vector<support::slot_content> stay, gone;
  for (u32 i = 0; i < row.held; ++i) (goes[i] != 0 ? gone : stay).push_back(row.slots[i]);
  std::vector<support::slot_content> kept = stay;
  if (order == kvsift::layout::slots) {
    auto const end = row.slots.begin() + static_cast<std::ptrdiff_t>(stay.size());
    kept.assign(row.slots.begin(), end);
    std::size_t behind = stay.size();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (goes[i] == 0) continue;
      while (goes[behind] != 0) ++behind;
      kept[i] = row.slots[behind++];
    }
  }
  for (support::slot_content& s : kept)
    s.rank -= static_cast<u32>(std::count_if(gone.begin(), gone.end(), [&](auto const& g) { return g.rank < s.rank; }));
  row.slots = kept;
  row.held = static_cast<u32>(kept.size());
  return row;
}

template <class Placement>
void compacts() {
  support::for_each_seed(40, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const held = static_cast<u32>(d.between(1, 100));
    kvsift::layout const order = d.chance(0.5) ? kvsift::layout::slots : kvsift::layout::dense;
    auto made = filled<Placement>(held, order, seed);
    auto const& view = made.cache.view();
    CAPTURE(held);
    double const share = d.one_of(std::vector<double>{0, 0.1, 0.5, 0.9, 1});
    for (u32 r = 0; r < shape.rows(); ++r) {
      std::vector<u32> goes(held), scratch(held);
      for (u32& g : goes) g = d.chance(share) ? 1 : 0;
      support::row_content const want = expected(support::take_snapshot(view)[r], goes, order);
      u32 const threads = static_cast<u32>(d.between(1, 3));
      support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) {
        kvsift::compact_row(g, view, view.row(r), goes.data(), scratch.data());
      });
      REQUIRE(support::difference({support::take_snapshot(view)[r]}, {want}) == "");
      REQUIRE(support::misplaced_pages(view) == "");
    }
  });
}

template <class Placement>
void removes() {
  for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense}) {
    auto made = filled<Placement>(70, order, 3);
    auto const& view = made.cache.view();
    support::draws d(9);
    while (view.states[1].held != 0) {
      u32 const held = view.states[1].held, victim = static_cast<u32>(d.between(0, static_cast<int>(held) - 1));
      support::row_content const before = support::take_snapshot(view)[1];
      kvsift::remove_slot(kvsift::serial_group{}, view, view.row(1), victim);
      std::vector<u32> goes(held);
      goes[victim] = 1;
      REQUIRE(support::difference({support::take_snapshot(view)[1]}, {expected(before, goes, order)}) == "");
      REQUIRE(support::misplaced_pages(view) == "");
    }
  }
}

}  // namespace

TEST_CASE("many slots go at once: stable and hole-filling") {
  compacts<kvsift::in_rows>();
  compacts<kvsift::in_pages>();
}

TEST_CASE("slots go one by one") {
  removes<kvsift::in_rows>();
  removes<kvsift::in_pages>();
}

TEST_CASE("a head that shrinks gives its pages back, and another takes them") {
  auto made = filled<kvsift::in_pages>(96, kvsift::layout::slots, 4);
  auto const& view = made.cache.view();
  auto const free = [&] {
    u32 count = 0;
    for (u32 w = 0; w < view.pool.words(); ++w) count += static_cast<u32>(__builtin_popcount(view.pool.free[w]));
    return count;
  };
  REQUIRE(free() == 0);
  std::vector<u32> goes(96, 0), scratch(96);
  for (u32 i = 0; i < 56; ++i) goes[i] = 1;
  kvsift::compact_row(kvsift::serial_group{}, view, view.row(1), goes.data(), scratch.data());
  CHECK(free() == 1);  // 40 slots: two pages
  u32 const returned = view.pool.take(0);
  CHECK(free() == 0);
  view.pool.give_back(returned);
  float const vector[5] = {};
  while (view.states[1].held < 65)
    kvsift::append_row<hostile::odd_payload>(kvsift::serial_group{}, view, view.row(1), {vector, vector, 5, view.states[1].next});
  CHECK(free() == 0);
  CHECK(view.row(1).positions.places.pages[2] == returned);
}
