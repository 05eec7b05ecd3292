// The arithmetic that decisions rest on: squares that nothing fuses, keys in order, numbers drawn, exponentials, rotation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
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
    kvsift::rotary_table const table({500.0, pairs, turning}, dim, 40);
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

TEST_CASE("frequencies are scaled as published") {
  // Definitions of the papers again, in plain loops: Llama 3.1's by wavelength, YaRN's by turns.
  std::uint32_t const dim = 64;
  auto const scaled = [](kvsift::rotary_encoding const& e, std::uint32_t positions) {
    std::vector<double> f(32);
    kvsift::frequencies(e, 64, positions, f.data());
    return f;
  };
  double const pi = std::acos(-1.0);
  kvsift::rotary_encoding e{.theta = 500000.0, .scaling = kvsift::rotary_scaling::llama3, .factor = 8, .trained = 8192, .slow = 1, .fast = 4};
  std::vector<double> f = scaled(e, 1);
  unsigned kept = 0, slowed = 0, between = 0;
  for (std::uint32_t i = 0; i < dim / 2; ++i) {
    double const own = std::pow(e.theta, -2.0 * i / dim), wavelength = 2 * pi / own;
    double want = own;
    if (wavelength > 8192.0 / 1) {
      want = own / 8;
      ++slowed;
    } else if (wavelength >= 8192.0 / 4) {
      double const smooth = (8192 / wavelength - 1) / (4 - 1);
      want = (1 - smooth) * own / 8 + smooth * own;
      ++between;
    } else {
      ++kept;
    }
    CHECK(f[i] == doctest::Approx(want).epsilon(1e-12));
  }
  CHECK(kept != 0);
  CHECK(slowed != 0);
  CHECK(between != 0);

  e = {.theta = 10000.0, .scaling = kvsift::rotary_scaling::yarn, .factor = 4, .trained = 2048};
  f = scaled(e, 1);
  double const first = std::floor(dim * std::log(2048 / (32 * 2 * pi)) / (2 * std::log(1e4)));  // 8
  double const last = std::ceil(dim * std::log(2048 / (1 * 2 * pi)) / (2 * std::log(1e4)));     // 21
  CHECK(first == 8);
  CHECK(last == 21);
  for (std::uint32_t i = 0; i < dim / 2; ++i) {
    double const own = std::pow(e.theta, -2.0 * i / dim), ramp = i <= first ? 0 : i >= last ? 1 : (i - first) / (last - first);
    CHECK(f[i] == doctest::Approx(own * (1 - ramp) + own / 4 * ramp).epsilon(1e-12));
  }

  e = {.theta = 10000.0, .scaling = kvsift::rotary_scaling::linear, .factor = 2.5};
  f = scaled(e, 1);
  for (std::uint32_t i = 0; i < dim / 2; ++i) CHECK(f[i] == doctest::Approx(std::pow(1e4, -2.0 * i / dim) / 2.5).epsilon(1e-12));

  e = {.theta = 10000.0, .scaling = kvsift::rotary_scaling::dynamic_ntk, .factor = 2, .trained = 1024};
  CHECK(scaled(e, 1024) == scaled({.theta = 10000.0}, 0));
  f = scaled(e, 3072);
  double const base = 1e4 * std::pow(2.0 * 3072 / 1024 - 1, 64.0 / 62.0);
  for (std::uint32_t i = 0; i < dim / 2; ++i) CHECK(f[i] == doctest::Approx(std::pow(base, -2.0 * i / dim)).epsilon(1e-12));
}

TEST_CASE("an encoding that turns nothing, and ones that cannot be") {
  CHECK(kvsift::rotary_table({.theta = 0}, 8, 10).view().cosines == nullptr);
  auto const refusal = [](kvsift::rotary_encoding const& e, std::uint32_t head_dim) -> std::string {
    try {
      kvsift::check(e, head_dim);
    } catch (kvsift::bad_argument const& error) {
      return error.what();
    }
    return "";
  };
  using kvsift::rotary_scaling;
  CHECK(refusal({}, 8).empty());
  CHECK(refusal({.theta = 0, .rotary_dim = 3}, 8).empty());
  CHECK(refusal({.theta = std::nan("")}, 8).find("theta is nan") == 0);
  CHECK(refusal({.rotary_dim = 3}, 8) == "rotary_dim is 3; give an even number");
  CHECK(refusal({.factor = 0.5}, 8) == "factor is 0.500000; give 1 to 1e6");
  CHECK(refusal({.amplitude = 0}, 8) == "amplitude is 0.000000; give a number above 0 and up to 1000");
  CHECK(refusal({.scaling = rotary_scaling::yarn, .factor = 2}, 8) ==
        "trained is 0; give the positions that the model was trained for before it was stretched");
  CHECK(refusal({.scaling = rotary_scaling::llama3, .factor = 2, .trained = 8, .slow = 0}, 8) == "slow is 0.000000; give a number of turns above 0");
  CHECK(refusal({.scaling = rotary_scaling::llama3, .factor = 2, .trained = 8, .slow = 4, .fast = 4}, 8) ==
        "fast is 4.000000; give more turns than slow has");
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
