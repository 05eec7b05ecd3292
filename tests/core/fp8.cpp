// fp8: every code there and back, and rounding to nearest even with saturation against a slow definition.
#include <cmath>
#include <cstdint>

#include <doctest/doctest.h>

#include <kvsift/core/fp8.hpp>
#include <kvsift/core/lanes.hpp>
#include <oracle/rounded.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using u32 = std::uint32_t;

constexpr u32 largest = 0x7e, nan_code = 0x7f;

/// The value of a code in double precision, as the format is defined.
double value(u32 code) {
  double const sign = (code & 0x80u) != 0 ? -1 : 1;
  int const exponent = static_cast<int>(code >> 3) & 15, fraction = static_cast<int>(code) & 7;
  if (exponent == 15 && fraction == 7) return NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, -9);
  return sign * std::ldexp(8 + fraction, exponent - 7 - 3);
}

/// The code nearest to x, which is no NaN: of two that are as near the even one; the largest where none is larger. All of them are tried.
u32 nearest(double x) {
  double const m = std::fabs(x);
  u32 best = 0;
  for (u32 code = 1; code <= largest; ++code) {
    double const apart = std::fabs(value(code) - m), before = std::fabs(value(best) - m);
    if (apart < before || (apart == before && code % 2 == 0)) best = code;
  }
  return (std::isinf(m) ? largest : best) | (std::signbit(x) ? 0x80u : 0u);
}

u32 code_of(float x) {
  kvsift::fp8 stored{0x55};
  kvsift::from_float(x, stored);
  return stored.bits;
}

void agrees(float x) {
  CAPTURE(x);
  REQUIRE(code_of(x) == nearest(static_cast<double>(x)));
  REQUIRE((std::isinf(x) || value(code_of(x)) == oracle::rounded(static_cast<double>(x), oracle::fp8)));
}
void agrees_beside(float x) {
  for (float const y : {std::nextafter(x, 0.0f), x, std::nextafter(x, INFINITY)}) agrees(y), agrees(-y);
}

}  // namespace

TEST_CASE("the format's ends: 448, 2^-6 and 2^-9, and one NaN a sign") {
  CHECK(value(largest) == 448);
  CHECK(value(0x08) == std::ldexp(1, -6));
  CHECK(value(0x01) == std::ldexp(1, -9));
  CHECK(value(0x38) == 1);
  CHECK(std::isnan(value(0xff)));
}

TEST_CASE("every fp8 number is a float and comes back") {
  for (u32 code = 0; code < 256; ++code) {
    CAPTURE(code);
    float const x = kvsift::to_float(kvsift::fp8{static_cast<std::uint8_t>(code)});
    double const want = value(code);
    if (std::isnan(want)) {
      REQUIRE(std::isnan(x));
      REQUIRE(code_of(x) == nan_code);
      continue;
    }
    REQUIRE(static_cast<double>(x) == want);
    REQUIRE(std::signbit(x) == std::signbit(want));
    REQUIRE(code_of(x) == code);
  }
}

TEST_CASE("floats round to the nearest fp8, ties to even, subnormals included, and saturate") {
  for (u32 code = 0; code < largest; ++code) {
    agrees_beside(static_cast<float>((value(code) + value(code + 1)) / 2));
    agrees_beside(static_cast<float>(value(code)));
  }
  for (float const x : {448.0f, 464.0f, 480.0f, 512.0f, 65504.0f, 1e30f, 3.4028235e38f}) agrees_beside(x);
  for (float const x : {0.0f, 0x1p-149f, 0x1p-126f, 0x1p-100f, 0x1p-11f, 0x1p-10f, 0x1.8p-10f}) agrees_beside(x);
  agrees(INFINITY);
  agrees(-INFINITY);
  CHECK(code_of(0x1p-10f) == 0);      // half of the smallest: to the even one
  CHECK(code_of(-0x1p-10f) == 0x80);  // and its sign stays
  CHECK(code_of(INFINITY) == largest);
  CHECK(code_of(-1e9f) == (largest | 0x80));
  for (u32 const bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu}) CHECK(code_of(__builtin_bit_cast(float, bits)) == nan_code);
  support::for_each_seed(1, [&](std::uint64_t seed) {
    support::draws d(seed);
    for (int i = 0; i < 20000; ++i) {
      float const x = __builtin_bit_cast(float, static_cast<u32>(d.bits()));
      if (!std::isnan(x)) agrees(x);
      agrees(static_cast<float>(std::ldexp(d.normal(), d.between(-12, 9))));  // where the format's own numbers lie
    }
  });
}

TEST_CASE("eight fp8 at once are eight one by one, wherever they begin") {
  alignas(8) kvsift::fp8 stored[256 + kvsift::lane_count];
  for (u32 i = 0; i < 256 + kvsift::lane_count; ++i) stored[i] = kvsift::fp8{static_cast<std::uint8_t>(i)};
  auto const same = [](float got, kvsift::fp8 from) {
    float const want = kvsift::to_float(from);
    return std::isnan(want) ? std::isnan(got) : __builtin_bit_cast(u32, got) == __builtin_bit_cast(u32, want);
  };
  for (u32 first = 0; first < 256; ++first) {
    float got[kvsift::lane_count], pair[2];
    kvsift::lanes eight;
    eight.load(stored + first);
    eight.store(got);
    for (u32 i = 0; i < kvsift::lane_count; ++i) REQUIRE(same(got[i], stored[first + i]));
    kvsift::two_floats(stored + first, pair);
    REQUIRE(same(pair[0], stored[first]));
    REQUIRE(same(pair[1], stored[first + 1]));
  }
}
