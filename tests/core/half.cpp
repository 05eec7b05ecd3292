// fp16 and bf16: every number there and back, and rounding to nearest even against a slow definition.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/core/half.hpp>
#include <kvsift/core/lanes.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using u32 = std::uint32_t;

/// The value of a format with `fraction` bits after the point and exponents from 1 - bias on, in double precision.
double value(u32 bits, int fraction, int exponent_bits) {
  int const bias = (1 << (exponent_bits - 1)) - 1, exponent = static_cast<int>(bits >> fraction) & ((1 << exponent_bits) - 1);
  double const sign = (bits >> 15) != 0 ? -1 : 1, digits = static_cast<double>(bits & ((1u << fraction) - 1));
  if (exponent == (1 << exponent_bits) - 1) return digits == 0 ? sign * INFINITY : NAN;
  double const one = std::ldexp(1.0, fraction);
  return sign * std::ldexp(exponent == 0 ? digits / one : 1 + digits / one, (exponent == 0 ? 1 : exponent) - bias);
}

/// The nearest number of a format among its 65,536, ties to the even code; by bisection over the magnitudes.
template <class T>
u32 nearest(double x, int fraction, int exponent_bits) {
  u32 const sign = std::signbit(x) ? 0x8000u : 0u, infinite = ((1u << exponent_bits) - 1) << fraction;
  double const m = std::fabs(x);
  u32 low = 0, high = infinite;
  while (high - low > 1) {
    u32 const middle = (low + high) / 2;
    (value(middle, fraction, exponent_bits) <= m ? low : high) = middle;
  }
  double const below = value(low, fraction, exponent_bits);
  // Infinity stands where the next number of the highest binade would.
  double const above = high == infinite ? 2 * below - value(low - 1, fraction, exponent_bits) : value(high, fraction, exponent_bits);
  if (m >= above) return sign | high;
  double const apart = (m - below) - (above - m);
  return sign | (apart > 0 || (apart == 0 && (low & 1u) != 0) ? high : low);
}

template <class T>
void every_number(int fraction, int exponent_bits) {
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    T const stored{static_cast<std::uint16_t>(bits)};
    float const x = kvsift::to_float(stored);
    double const want = value(bits, fraction, exponent_bits);
    T back{};
    kvsift::from_float(x, back);
    if (std::isnan(want)) {
      REQUIRE(std::isnan(x));
      REQUIRE(std::isnan(kvsift::to_float(back)));
    } else {
      REQUIRE(static_cast<double>(x) == want);
      REQUIRE(std::signbit(x) == std::signbit(want));
      REQUIRE(back.bits == bits);
    }
  }
}

template <class T>
void rounds(int fraction, int exponent_bits) {
  auto const agrees = [&](float x) {
    T got{};
    kvsift::from_float(x, got);
    CAPTURE(x);
    REQUIRE(u32{got.bits} == nearest<T>(static_cast<double>(x), fraction, exponent_bits));
  };
  u32 const largest = (((1u << exponent_bits) - 1) << fraction) - 1;
  for (u32 bits = 0; bits < largest; ++bits) {  // the middle of every two neighbours, and the floats beside it
    double const a = value(bits, fraction, exponent_bits), b = value(bits + 1, fraction, exponent_bits);
    float const middle = static_cast<float>((a + b) / 2);
    for (float const x : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, INFINITY)}) agrees(x), agrees(-x);
  }
  support::for_each_seed(1, [&](std::uint64_t seed) {
    support::draws d(seed);
    for (int i = 0; i < 100000; ++i) {
      float const x = __builtin_bit_cast(float, static_cast<u32>(d.bits()));
      if (!std::isnan(x)) agrees(x);
    }
  });
  for (float const x : {65504.0f, 65519.996f, 65520.0f, 3.4028235e38f, 3.3961776e38f, 0x1p-149f, 0x1p-25f, 0x1.8p-25f}) agrees(x);
}

template <class T>
void lanes_agree() {
  for (u32 first = 0; first < 0x10000; first += kvsift::lane_count) {
    T stored[kvsift::lane_count];
    float got[kvsift::lane_count];
    for (u32 i = 0; i < kvsift::lane_count; ++i) stored[i] = T{static_cast<std::uint16_t>(first + i)};
    kvsift::lanes eight;
    eight.load(stored);
    eight.store(got);
    for (u32 i = 0; i < kvsift::lane_count; ++i) {
      float const want = kvsift::to_float(stored[i]);
      REQUIRE((std::isnan(want) ? std::isnan(got[i]) : __builtin_bit_cast(u32, got[i]) == __builtin_bit_cast(u32, want)));
    }
  }
}

}  // namespace

TEST_CASE("every fp16 and bf16 number is a float and comes back") {
  every_number<kvsift::fp16>(10, 5);
  every_number<kvsift::bf16>(7, 8);
}

TEST_CASE("floats round to the nearest fp16, ties to even, subnormals and overflow included") { rounds<kvsift::fp16>(10, 5); }

TEST_CASE("floats round to the nearest bf16, ties to even, subnormals and overflow included") { rounds<kvsift::bf16>(7, 8); }

TEST_CASE("eight at once are eight one by one") {
  lanes_agree<kvsift::fp16>();
  lanes_agree<kvsift::bf16>();
}
