// Groups of many threads move slots as one thread does, bit for bit: whatever a vector's size and alignment, in rows and in pages, stable and hole-filling.
#include <cstdint>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/filled_rows.hpp>
#include <support/marked_vectors.hpp>
#include <support/pages.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/snapshot.hpp>
#include <support/thread_group.hpp>

namespace {

using u32 = std::uint32_t;

std::vector<u32> const group_sizes{3, 32, 33, 128};

/// f.template operator()<Placement, Payload>() for every payload in rows and in pages.
template <class F>
void for_each_storage(F const& f) {
  auto const with = [&]<class... Payloads>() {
    (f.template operator()<kvsift::in_rows, Payloads>(), ...);
    (f.template operator()<kvsift::in_pages, Payloads>(), ...);
  };
  using namespace kvsift;
  with.template operator()<fp32_payload, fp16_payload, bf16_payload, fp8_payload, int8_payload, int4_payload, int2_payload, hostile::odd_payload>();
}

template <class Placement, class Payload>
void moves_agree(std::uint64_t seed) {
  support::draws d(seed);
  kvsift::cache_shape const shape{1, 3, 1, d.one_of(std::vector<u32>{1, 5, 8, 24, 64, 65}), 1};
  u32 const held = static_cast<u32>(d.between(1, 150)), threads = d.one_of(group_sizes);
  kvsift::layout const order = d.chance(0.5) ? kvsift::layout::slots : kvsift::layout::dense;
  auto one = support::filled_rows<Placement, Payload>(shape, held, order, seed), many = support::filled_rows<Placement, Payload>(shape, held, order, seed);
  CAPTURE(held);
  CAPTURE(threads);
  CAPTURE(shape.head_dim);
  support::thread_group_executor const on{threads};
  auto const agree = [&] {
    REQUIRE(support::difference(support::take_snapshot(many.cache.view()), support::take_snapshot(one.cache.view())) == "");
    REQUIRE(support::misplaced_pages(many.cache.view()) == "");
  };
  for (u32 removed = 0; removed < 2 && removed < held; ++removed) {
    u32 const victim = static_cast<u32>(d.between(0, static_cast<int>(held - removed) - 1));
    kvsift::remove_slot(kvsift::serial_group{}, one.cache.view(), one.cache.view().row(1), victim);
    on.launch(1, [&](auto const& g, u32) { kvsift::remove_slot(g, many.cache.view(), many.cache.view().row(1), victim); });
    agree();
  }
  double const share = d.one_of(std::vector<double>{0, 0.02, 0.1, 0.5, 0.9, 1});
  std::vector<u32> goes(held), scratch(held, 0xa5a5a5a5u);
  for (u32& g : goes) g = d.chance(share) ? 1 + static_cast<u32>(d.between(0, 5)) : 0;
  std::vector<u32> goes_too = goes, scratch_too = scratch;
  kvsift::compact_row(kvsift::serial_group{}, one.cache.view(), one.cache.view().row(2), goes.data(), scratch.data());
  on.launch(1, [&](auto const& g, u32) {
    kvsift::compact_row(g, many.cache.view(), many.cache.view().row(2), goes_too.data(), scratch_too.data());
  });
  agree();
}

template <class Placement, class Payload>
support::snapshot cut_prompt(u32 threads, kvsift::cache_shape const& shape, u32 tokens, u32 limit, std::uint64_t seed) {
  auto const policy = kvsift::roco(limit, limit / 3, 1);
  kvsift::kv_tensor<std::remove_const_t<decltype(policy)>, Payload, hostile::counted_positions, kvsift::dropped, Placement> cache{
      shape, policy, {.max_piece = tokens, .group_threads = threads}};
  support::fill_vectors(cache.view());
  support::marked_vectors const data{seed, shape};
  auto const p = data.make_piece(0, 0, tokens);
  std::vector<float> out(p.queries.size());
  kvsift::step(support::thread_group_executor{threads}, cache[0], p.view(), out.data());
  CHECK(support::misplaced_pages(cache.view()) == "");
  return support::take_snapshot(cache.view());
}

}  // namespace

TEST_CASE("many threads take slots out as one does, one and many at a time") {
  support::for_each_seed(6, [](std::uint64_t seed) { for_each_storage([&]<class Placement, class Payload>() { moves_agree<Placement, Payload>(seed); }); });
}

TEST_CASE("many threads write the survivors of a prompt as one does") {
  support::for_each_seed(2, [](std::uint64_t seed) {
    support::draws d(seed);
    kvsift::cache_shape const shape{1, 2, 1, d.one_of(std::vector<u32>{5, 24}), 1};
    u32 const tokens = static_cast<u32>(d.between(60, 80)), limit = static_cast<u32>(d.between(30, 50)), threads = d.one_of(group_sizes);
    CAPTURE(threads);
    for_each_storage([&]<class Placement, class Payload>() {
      support::snapshot const want = cut_prompt<Placement, Payload>(1, shape, tokens, limit, seed);
      REQUIRE(want[0].held == limit);
      CHECK(support::difference(cut_prompt<Placement, Payload>(threads, shape, tokens, limit, seed), want) == "");
    });
  });
}
