// Guards look at one slot; the ranked scope takes out the most varying.
#include <cstdint>

#include <doctest/doctest.h>

#include <kvsift/column/attention.hpp>
#include <kvsift/scope/most_varying.hpp>
#include <kvsift/scope/protect.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

/// One slot as a scope sees it.
struct one_slot {
  float sum, squares;
  std::uint32_t count;

  template <class C>
  float const* get() const {
    return std::is_same_v<C, kvsift::attention_sum> ? &sum : &squares;
  }
  std::uint32_t visits(std::uint32_t) const { return count; }
  float float_visits(std::uint32_t) const { return static_cast<float>(count); }
};

}  // namespace

TEST_CASE("guards hold sinks, the newest positions and a span of positions, and nothing else") {
  kvsift::protect const g{.sinks = 2, .newest = 3, .pinned_from = 5, .pinned = 2};
  for (std::uint32_t p = 0; p < 12; ++p) {
    CAPTURE(p);
    CHECK(g.holds(p, 12) == (p < 2 || p >= 9 || p == 5 || p == 6));
  }
  CHECK(g.slots() == 7);
  CHECK_FALSE(kvsift::protect{}.holds(0, 1));
  CHECK(kvsift::protect{0, 0, 0, 1}.holds(0, 4000000000u));
  CHECK_FALSE(kvsift::protect{0, 0, 5, 1}.holds(4, 9));
  CHECK(kvsift::protect{0xffffffffu, 0xffffffffu, 0, 0xffffffffu}.slots() == 3 * std::uint64_t{0xffffffffu});
}

TEST_CASE("the variance of a constant attention is exactly 0, and that of any other as in double precision") {
  kvsift::most_varying const scope{3};
  CHECK(scope.excluded() == 3);
  support::for_each_seed(1, [&](std::uint64_t seed) {
    support::draws d(seed);
    for (int i = 0; i < 20000; ++i) {
      float const a = static_cast<float>(d.uniform()), b = static_cast<float>(d.uniform());
      float const square = kvsift::rounded_square(a);
      REQUIRE(scope(one_slot{a, square, 1}, 0) == 0);
      REQUIRE(scope(one_slot{2 * a, 2 * square, 2}, 0) == 0);
      float const both = scope(one_slot{a + b, square + kvsift::rounded_square(b), 2}, 0);
      double const half = (static_cast<double>(a) - static_cast<double>(b)) / 2;
      REQUIRE(both >= 0);
      REQUIRE(static_cast<double>(both) == doctest::Approx(half * half).epsilon(1e-3).scale(0.01));
    }
  });
}
