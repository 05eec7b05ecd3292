// Slots of one row move by groups of 1, 32, 33 and 128 threads: a missing sync() is a race, and what is left is what one thread leaves.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/filled_rows.hpp>
#include <support/snapshot.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;

constexpr kvsift::cache_shape shape{1, 2, 1, 40, 1};
constexpr u32 held = 70;

/// A slot goes from row 1, then every third and a stretch of its others.
template <class Placement, class Payload>
support::snapshot thinned(u32 threads, kvsift::layout order) {
  auto made = support::filled_rows<Placement, Payload>(shape, held, order, 8);
  auto const& view = made.cache.view();
  std::vector<u32> goes(held - 1), scratch(held - 1);
  for (u32 i = 5; i < held - 1; ++i) goes[i] = i % 3 == 0 || (i > 40 && i < 50) ? 1 : 0;
  support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) {
    kvsift::remove_slot(g, view, view.row(1), 9);
    kvsift::compact_row(g, view, view.row(1), goes.data(), scratch.data());
  });
  return support::take_snapshot(view);
}

template <class Placement, class Payload>
void agrees_on_every_size() {
  for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense}) {
    support::snapshot const want = thinned<Placement, Payload>(1, order);
    for (u32 const threads : {32u, 33u, 128u}) {
      CAPTURE(threads);
      CHECK(support::difference(thinned<Placement, Payload>(threads, order), want) == "");
    }
  }
}

}  // namespace

TEST_CASE("slots that leave one by one and many at a time, in rows and in pages, by wide words and by bytes") {
  agrees_on_every_size<kvsift::in_rows, kvsift::fp32_payload>();
  agrees_on_every_size<kvsift::in_pages, kvsift::fp32_payload>();
  agrees_on_every_size<kvsift::in_rows, kvsift::fp8_payload>();
  agrees_on_every_size<kvsift::in_pages, kvsift::int4_payload>();
  agrees_on_every_size<kvsift::in_rows, hostile::odd_payload>();
}
