#include <cstdint>

#include <doctest/doctest.h>

#include <kvsift/core/lanes.hpp>

namespace {

/// Every number of sixteen bits, eight at a time; for T of four bytes those that they are to_float of, of one byte their low halves.
template <class T>
bool reads_the_same() {
  for (std::uint32_t first = 0; first < 0x10000; first += kvsift::lane_count) {
    alignas(sizeof(T) == 1 ? 8 : 16) T x[kvsift::lane_count];
    for (std::uint32_t i = 0; i < kvsift::lane_count; ++i) {
      auto const bits = static_cast<std::uint16_t>(first + i);
      if constexpr (sizeof(T) <= 2) x[i].bits = static_cast<decltype(x[i].bits)>(bits);
      else x[i] = kvsift::to_float(kvsift::bf16{bits});
    }
    float got[kvsift::lane_count], lane[kvsift::lane_count];
    kvsift::detail::load_widely(x, got);
    kvsift::lanes all;
    all.load_aligned(x);
    all.store(lane);
    for (std::uint32_t i = 0; i < kvsift::lane_count; ++i) {
      float const want = kvsift::to_float(x[i]);
      bool const number = want == want;
      if (number ? got[i] != want || lane[i] != want : got[i] == got[i] || lane[i] == lane[i]) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("sixteen bytes at a time are the same numbers, and eight of fp8") {
  CHECK(reads_the_same<kvsift::fp16>());
  CHECK(reads_the_same<kvsift::bf16>());
  CHECK(reads_the_same<kvsift::fp8>());
  CHECK(reads_the_same<float>());
}
