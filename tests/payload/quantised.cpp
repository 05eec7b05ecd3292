// Vectors in 8, 4 and 2 bits: worked values, bounds, what is not finite, threads, and caches that move them.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/payload/quantised.hpp>
#include <oracle/attention.hpp>
#include <support/approx.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

template <class Payload>
std::vector<std::byte> stored(std::vector<float> const& x) {
  std::vector<std::byte> bytes(Payload::bytes(static_cast<std::uint32_t>(x.size())), std::byte{0xa5});
  Payload::store(kvsift::serial_group{}, bytes.data(), x.data(), static_cast<std::uint32_t>(x.size()));
  return bytes;
}
template <class Payload>
std::vector<float> back(std::vector<std::byte> const& bytes, std::size_t dim) {
  std::vector<float> x;
  for (std::size_t i = 0; i < dim; ++i) x.push_back(Payload::load(bytes.data(), i));
  return x;
}

/// The worked example of the specification: codes as bytes, scale, zero = low + scale 2^(bits-1), values.
template <unsigned Bits>
void worked(std::vector<unsigned> const& codes, float scale, float zero, std::vector<float> const& values) {
  CAPTURE(Bits);
  std::vector<float> const x{-1, -.5f, 0, .25f, .5f, 1, 1.5f, 2};
  using payload = kvsift::quantised<Bits>;
  std::vector<std::byte> const bytes = stored<payload>(x);
  REQUIRE(bytes.size() == 8 + codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) CHECK(static_cast<unsigned>(bytes[8 + i]) == codes[i]);
  CHECK(payload::scale_of(bytes.data()) == doctest::Approx(scale).epsilon(1e-5));
  CHECK(payload::low_of(bytes.data()) + payload::scale_of(bytes.data()) * static_cast<float>(1u << (Bits - 1)) == doctest::Approx(zero).epsilon(1e-5));
  std::vector<float> const y = back<payload>(bytes, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == doctest::Approx(values[i]).epsilon(1e-4));
}

template <class Payload>
void bounded(double levels) {
  support::for_each_seed(60, [&](std::uint64_t seed) {
    support::draws d(seed);
    std::vector<float> x(static_cast<std::size_t>(d.between(1, 130)));
    double const size = std::pow(10.0, d.between(-4, 6));
    for (float& v : x) v = static_cast<float>(d.normal() * size);
    auto const [low, high] = std::minmax_element(x.begin(), x.end());
    double const scale = std::max(static_cast<double>(*high) - static_cast<double>(*low), 1e-6) / levels;
    std::vector<std::byte> const bytes = stored<Payload>(x);
    std::vector<float> const y = back<Payload>(bytes, x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      CAPTURE(i);
      REQUIRE(std::fabs(static_cast<double>(y[i]) - static_cast<double>(x[i])) <= scale * (0.5 + 1e-3) + 1e-6 * size * 4);
    }
    // Every group of threads writes the same bytes.
    std::vector<std::byte> by_threads(bytes.size());
    support::thread_group_executor{5}.launch(1, [&](auto const& g, std::uint32_t) {
      Payload::store(g, by_threads.data(), x.data(), static_cast<std::uint32_t>(x.size()));
    });
    REQUIRE(by_threads == bytes);
  });
  for (float const c : {0.0f, 3.7f, -1e-9f, 12345.0f}) CHECK(back<Payload>(stored<Payload>(std::vector<float>(19, c)), 19) == std::vector<float>(19, c));
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (float const y : back<Payload>(stored<Payload>({nan, inf, -inf, 1, 3e38f}), 5)) CHECK(std::isfinite(y));
  CHECK(back<Payload>(stored<Payload>({nan, 1, -1}), 3)[1] == 1.0f);
}

/// A cache in this payload attends within `tolerance` of one in fp32, and decides alike by what it remembers of exact keys.
template <class Payload, class Placement>
void near_fp32(double tolerance) {
  support::for_each_seed(12, [&](std::uint64_t seed) {
    support::draws d(seed);
    oracle::trace const t = support::random_trace(d, {60, 4, 2, d.one_of(std::vector<int>{5, 8, 19, 64})});
    kvsift::cache_shape const shape{1, 2, 2, static_cast<std::uint32_t>(t.dim), 1};
    auto const policy = kvsift::key_norm(20, 2, 5);
    kvsift::cache_options const options{.max_piece = 60};
    kvsift::kv_tensor<decltype(policy)> exact{shape, policy, options};
    kvsift::kv_tensor<std::remove_const_t<decltype(policy)>, Payload, kvsift::original_positions, kvsift::dropped, Placement> small{shape, policy, options};
    std::vector<float> a(60 * 4 * static_cast<std::size_t>(t.dim)), b(a.size());
    for (int first = 0, n = 30; first < t.tokens; first += n, n = 1) {
      kvsift::arrivals const piece{t.query(first, 0), t.key(first, 0), t.value(first, 0), static_cast<std::uint32_t>(n)};
      kvsift::step(kvsift::serial_executor{}, exact[0], piece, a.data());
      kvsift::step(kvsift::serial_executor{}, small[0], piece, b.data());
      kvsift::evict(kvsift::serial_executor{}, exact);
      kvsift::evict(kvsift::serial_executor{}, small);
      for (std::uint32_t r = 0; r < 2; ++r) {
        auto const x = exact.view().row(r);
        auto const y = small.view().row(r);
        REQUIRE(x.state->held == y.state->held);
        for (std::uint32_t i = 0; i < x.state->held; ++i) REQUIRE(x.positions[i] == y.positions[i]);
        for (std::uint32_t i = 0; i < y.state->held; ++i) {  // wherever it was moved to, its bytes are those of its token's key
          std::vector<std::byte> want(Payload::bytes(shape.head_dim));
          Payload::store(kvsift::serial_group{}, want.data(), t.key(static_cast<int>(y.positions[i]), static_cast<int>(r)), shape.head_dim);
          REQUIRE(std::equal(want.begin(), want.end(), y.keys.at(i)));
        }
      }
      if (n != 1) continue;
      std::size_t const size = 4 * static_cast<std::size_t>(t.dim);
      std::vector<float> const got(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(size));
      std::vector<double> const want(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(size));
      REQUIRE(support::first_difference(got, want, size, tolerance, 1.0) == "");
    }
  });
}

}  // namespace

TEST_CASE("the worked example") {
  worked<8>({0, 42, 85, 106, 128, 170, 212, 255}, .0117647f, .5058824f, {-1, -.50588f, 0, .24706f, .50588f, 1, 1.49412f, 2});
  worked<4>({32, 101, 168, 252}, .2f, .6f, {-1, -.6f, 0, .2f, .6f, 1, 1.4f, 2});
  worked<2>({80, 234}, 1, 1, {-1, -1, 0, 0, 1, 1, 1, 2});
}

TEST_CASE("within half a step, constants exactly, nothing but finite numbers, the same bytes from any group") {
  bounded<kvsift::int8_payload>(255);
  bounded<kvsift::int4_payload>(15);
  bounded<kvsift::int2_payload>(3);
}

TEST_CASE("bytes of a vector") {
  CHECK(kvsift::int8_payload::bytes(128) == 136);
  CHECK(kvsift::int4_payload::bytes(64) == 40);
  CHECK(kvsift::int4_payload::bytes(19) == 18);
  CHECK(kvsift::int2_payload::bytes(1) == 9);
}

TEST_CASE("caches: decisions from exact keys, vectors quantised once, attention near that of fp32") {
  near_fp32<kvsift::int8_payload, kvsift::in_rows>(0.05);
  near_fp32<kvsift::int4_payload, kvsift::in_pages>(0.8);
  near_fp32<kvsift::int2_payload, kvsift::in_rows>(3);
}
