// The arithmetic that decisions rest on: squares that nothing fuses, keys in order, numbers drawn, exponentials, rotation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/core/exact.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/core/shape.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

TEST_CASE("a square is rounded once, before anything is added or subtracted") {
  support::for_each_seed(3, [](std::uint64_t seed) {
    support::draws d(seed);
    std::vector<float> x(4096), rest(x.size());
    for (float& v : x) v = static_cast<float>(d.normal());
    // In a loop that is vectorised and would be contracted: x * x - round(x * x) is 0 only if nothing is fused.
    for (std::size_t i = 0; i < x.size(); ++i) {
      float const square = kvsift::rounded_square(x[i]);
      rest[i] = square - kvsift::rounded_square(x[i]);
    }
    CHECK(std::all_of(rest.begin(), rest.end(), [](float r) { return r == 0; }));
    std::vector<float> squares(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      float volatile const product = x[i] * x[i];
      squares[i] = product;
    }
    for (std::size_t i = 0; i < x.size(); ++i) rest[i] = squares[i] - kvsift::rounded_square(x[i]);
    CHECK(std::all_of(rest.begin(), rest.end(), [](float r) { return r == 0; }));
  });
}

TEST_CASE("ordered keys are in the order of scores: NaN lowest, zeros equal, infinity highest, below never_key") {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> const rising = {-inf, -3.4e38f, -1, -1e-30f, -0x1p-149f, 0, 0x1p-149f, 1e-30f, 1, 3.4e38f, inf};
  for (std::size_t i = 1; i < rising.size(); ++i) CHECK(kvsift::ordered_key(rising[i - 1]) < kvsift::ordered_key(rising[i]));
  CHECK(kvsift::ordered_key(-0.0f) == kvsift::ordered_key(0.0f));
  CHECK(kvsift::ordered_key(nan) < kvsift::ordered_key(-inf));
  CHECK(kvsift::ordered_key(-nan) == kvsift::ordered_key(nan));
  CHECK(kvsift::ordered_key(inf) < kvsift::never_key);
  support::for_each_seed(1, [](std::uint64_t seed) {
    support::draws d(seed);
    for (int i = 0; i < 100000; ++i) {
      float const a = __builtin_bit_cast(float, static_cast<std::uint32_t>(d.bits()));
      float const b = __builtin_bit_cast(float, static_cast<std::uint32_t>(d.bits()));
      if (std::isnan(a) || std::isnan(b)) continue;
      CAPTURE(a);
      CAPTURE(b);
      REQUIRE((a < b) == (kvsift::ordered_key(a) < kvsift::ordered_key(b)));
    }
  });
}

TEST_CASE("draws are spread evenly, in every argument, and repeat") {
  kvsift::counter_random const r{42};
  CHECK(r.uniform(1, 2, 3) == r.uniform(1, 2, 3));
  CHECK(r.uniform(1, 2, 3) != r.uniform(2, 1, 3));
  CHECK(r.uniform(1, 2, 3) != r.uniform(1, 2, 4));
  CHECK(r.uniform(1, 2, 3) != kvsift::counter_random{43}.uniform(1, 2, 3));
  // Neighbouring seeds draw no shifted copies of one another.
  for (std::uint32_t seed : {40u, 41u, 43u, 44u}) CHECK(r.uniform(1, 2, 3) != kvsift::counter_random{seed}.uniform(1, 44 - seed, 3));
  for (int varied = 0; varied < 3; ++varied) {
    CAPTURE(varied);
    std::vector<int> counts(64, 0);
    double mean = 0;
    int const n = 64000;
    for (std::uint32_t i = 0; i < n; ++i) {
      float const x = r.uniform(varied == 0 ? i : 5, varied == 1 ? i : 6, varied == 2 ? i : 7);
      REQUIRE(x >= 0);
      REQUIRE(x < 1);
      ++counts[static_cast<std::size_t>(x * 64)];
      mean += static_cast<double>(x) / n;
    }
    double chi = 0;  // 63 degrees of freedom: mean 63, deviation 11
    for (int const c : counts) chi += (c - 1000.0) * (c - 1000.0) / 1000.0;
    CHECK(chi < 63 + 6 * 11);
    CHECK(mean == doctest::Approx(0.5).epsilon(0.02));
  }
}

TEST_CASE("exp_of stays within 2e-7 of the exponential, and is 0 far below") {
  double worst = 0;
  for (double x = -87.3; x < 88; x += 0.000731) {
    float const at = static_cast<float>(x);
    double const want = std::exp(static_cast<double>(at));
    worst = std::max(worst, std::fabs(static_cast<double>(kvsift::exp_of(at)) - want) / want);
  }
  CHECK(worst < 2e-7);
  CHECK(kvsift::exp_of(0) == 1);
  CHECK(kvsift::exp_of(-87.4f) == 0);
  CHECK(kvsift::exp_of(-1e30f) == 0);
  CHECK(kvsift::exp_of(-std::numeric_limits<float>::infinity()) == 0);
}

TEST_CASE("sums over eight lanes are added in one fixed order") {
  float const x[8] = {1e8f, 1, -1e8f, 1, 3, 1e-3f, 7, 2};
  kvsift::lanes l;
  l.load(x);
  CHECK(l.sum() == ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])));
}

TEST_CASE("a rotation turns pairs by position x theta^(-2 i / dim), and leaves the rest") {
  for (kvsift::pairing const pairs : {kvsift::pairing::half_split, kvsift::pairing::interleaved}) {
    std::uint32_t const turning = 6, dim = 9;
    kvsift::rotary_table const table(500.0, turning, pairs, 40);
    float const x[dim] = {1, -2, 3, 0.5f, -1, 2, 7, 8, 9};
    for (std::uint32_t const position : {0u, 1u, 17u, 39u}) {
      float turned[dim];
      table.view().rotate([&](std::uint32_t d) { return x[d]; }, dim, position, turned);
      for (std::uint32_t i = 0; i < turning / 2; ++i) {
        std::uint32_t const a = pairs == kvsift::pairing::half_split ? i : 2 * i;
        std::uint32_t const b = pairs == kvsift::pairing::half_split ? i + 3 : 2 * i + 1;
        double const angle = position * std::pow(500.0, -2.0 * i / turning), c = std::cos(angle), s = std::sin(angle);
        CHECK(turned[a] == doctest::Approx(static_cast<double>(x[a]) * c - static_cast<double>(x[b]) * s).epsilon(1e-5));
        CHECK(turned[b] == doctest::Approx(static_cast<double>(x[b]) * c + static_cast<double>(x[a]) * s).epsilon(1e-5));
      }
      for (std::uint32_t d = turning; d < dim; ++d) CHECK(turned[d] == x[d]);
    }
  }
}

TEST_CASE("rows lie layer by layer, then sequence by sequence") {
  kvsift::cache_shape const shape{3, 4, 2, 8, 5};
  CHECK(shape.query_heads() == 8);
  CHECK(shape.layer_rows() == 20);
  CHECK(shape.rows() == 60);
  CHECK(shape.row(0, 0, 0) == 0);
  CHECK(shape.row(2, 4, 3) == 59);
  CHECK(shape.row(1, 2, 3) == 31);
}
