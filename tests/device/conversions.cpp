// On a GPU: fp8 has the CPU's bits there, however the architecture converts.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <device/conversions.hpp>
#include <device/gpu.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

using u32 = std::uint32_t;

TEST_CASE("fp8: every code, what lies halfway and beside it, and whatever else a float can be") {
  if (!device::gpu_is_there()) return;
  support::for_each_seed(1, [](std::uint64_t seed) {
    std::vector<float> x{INFINITY, -INFINITY, NAN, -NAN, 0.0f, -0.0f, 464.0f, 3.4028235e38f, 0x1p-149f};
    for (u32 code = 0; code < 255; ++code) {
      float const here = kvsift::to_float(kvsift::fp8{static_cast<std::uint8_t>(code)});
      float const middle = (here + kvsift::to_float(kvsift::fp8{static_cast<std::uint8_t>(code + 1)})) / 2;
      for (float const y : {here, middle}) x.insert(x.end(), {y, std::nextafter(y, 0.0f), std::nextafter(y, 1e9f)});
    }
    support::draws d(seed);
    while (x.size() < 20000) {
      x.push_back(__builtin_bit_cast(float, static_cast<u32>(d.bits())));
      x.push_back(static_cast<float>(std::ldexp(d.normal(), d.between(-12, 9))));
    }
    x.resize(x.size() / 8 * 8);

    device::stream s;
    device::array<float> const in(s.value, x), singly(s.value, x.size()), by_eight(s.value, x.size());
    device::array<kvsift::fp8> const codes(s.value, x.size());
    device::convert(s.value, in.data(), codes.data(), singly.data(), by_eight.data(), static_cast<u32>(x.size()));
    std::vector<kvsift::fp8> const got = codes.host();
    std::vector<float> const one = singly.host(), eight = by_eight.host();
    for (std::size_t i = 0; i < x.size(); ++i) {
      kvsift::fp8 want{};
      kvsift::from_float(x[i], want);
      float const number = kvsift::to_float(want);
      CAPTURE(x[i]);
      REQUIRE(got[i].bits == want.bits);
      if (std::isnan(number)) {
        REQUIRE(std::isnan(one[i]));
        REQUIRE(std::isnan(eight[i]));
      } else {
        REQUIRE(__builtin_bit_cast(u32, one[i]) == __builtin_bit_cast(u32, number));
        REQUIRE(__builtin_bit_cast(u32, eight[i]) == __builtin_bit_cast(u32, number));
      }
    }
  });
}
