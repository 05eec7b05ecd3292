// Sequences of a batch that go on by themselves under rules that change what is stored as tokens go.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/random_trace.hpp>
#include <support/snapshot.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

constexpr cache_shape shape{2, 2, 1, 8, 3};

template <class Cache, class Some>
void feed(Cache& cache, Some const& some, std::vector<u32> const& seen) {
  support::marked_vectors const data{3, shape};
  for (u32 l = 0; l < shape.layers; ++l) {
    support::marked_vectors::piece p;
    for (u32 i = 0; i < some.who.count; ++i) data.add_sequence(p, l, some.who.first + i, seen[some.who.first + i], 1);
    std::vector<float> out(p.queries.size());
    step(serial_executor{}, some[l], p.view(), out.data());
  }
  if (some.who.named) evict(serial_executor{}, some);
  else evict(serial_executor{}, cache);
}

/// Each sequence gets as many tokens as `tokens` says, some alone and some together; what it holds is what it holds where all get as many.
template <class Position>
void goes_on_by_itself(Position const& rule) {
  std::vector<u32> const tokens{20, 9, 14};
  kv_tensor together{shape, roco(6, 1, 2), {}, rule};
  std::vector<u32> seen(3);
  for (; seen[1] < tokens[1]; ++seen[1]) feed(together, together.sequence(1), seen);
  for (; seen[0] < 4; ++seen[0]) feed(together, together.sequence(0), seen);
  pause(serial_executor{}, together.sequence(1));
  for (; seen[2] < tokens[2]; ++seen[0], ++seen[2]) feed(together, together.everyone(), seen);
  for (; seen[0] < tokens[0]; ++seen[0]) feed(together, together.sequences(0, 1), seen);
  support::snapshot const got = support::take_snapshot(together.view());
  for (u32 s = 0; s < 3; ++s) {
    kv_tensor alike{shape, roco(6, 1, 2), {}, rule};
    for (u32 t = 0; t < tokens[s]; ++t) feed(alike, alike.everyone(), {t, t, t});
    support::snapshot const want = support::take_snapshot(alike.view());
    for (u32 l = 0; l < shape.layers; ++l)
      for (u32 h = 0; h < shape.kv_heads; ++h) {
        CAPTURE(s);
        CHECK(support::difference({got[shape.row(l, s, h)]}, {want[shape.row(l, s, h)]}) == "");
      }
  }
}

}  // namespace

TEST_CASE("keys are turned where their own sequence's tokens go") { goes_on_by_itself(rerotated_positions{}); }

TEST_CASE("networks move slots where their own sequence's tokens go") {
  std::vector<float> numbers(64);
  support::draws d(5);
  for (float& x : numbers) x = static_cast<float>(d.uniform() - 0.5);
  auto const some = [&](std::size_t n) { return span<float const>{numbers.data(), n}; };
  align_network const net({some(16), some(2), some(2), some(44), some(4), some(8), some(2), some(16), some(8)}, 8, 2, 2, 16);
  goes_on_by_itself(learned_align{net.view(), net.view(), 1});
}
