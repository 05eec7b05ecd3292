// Signatures: what a bit means, how it is stored, and where projections come from.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/core/bits.hpp>
#include <kvsift/kvsift.hpp>
#include <support/random_trace.hpp>

namespace {

using u32 = std::uint32_t;
using kvsift::signature;

struct bound {
  std::vector<float> table;
  signature code;
  bound(signature c, u32 dim) : table(c.table_floats(dim)), code(c) { code.bind(dim, table.data(), table.data()); }
  std::vector<std::uint8_t> of(std::vector<float> const& x) const {
    std::vector<std::uint8_t> bytes(code.width());
    code.admit(bytes.data(), {x.data(), x.data(), static_cast<u32>(x.size()), 0}, {});
    return bytes;
  }
};

std::vector<float> normals(support::draws& d, u32 n) {
  std::vector<float> x;
  for (u32 i = 0; i < n; ++i) x.push_back(static_cast<float>(d.normal()));
  return x;
}

u32 distance(std::vector<std::uint8_t> const& a, std::vector<std::uint8_t> const& b) {
  u32 count = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (u32 bit = 0; bit < 8; ++bit) count += ((a[i] ^ b[i]) >> bit & 1u) != 0 ? 1u : 0u;
  return count;
}

}  // namespace

TEST_CASE("bits are counted") {
  support::draws d(4);
  for (int i = 0; i < 2000; ++i) {
    std::uint64_t const x = d.bits() & d.bits() >> d.between(0, 63);
    u32 wide = 0, low = 0;
    for (u32 b = 0; b < 64; ++b) {
      wide += (x >> b & 1u) != 0 ? 1u : 0u;
      if (b < 32) low += (x >> b & 1u) != 0 ? 1u : 0u;
    }
    REQUIRE(kvsift::bit_count(x) == wide);
    REQUIRE(kvsift::bit_count(static_cast<u32>(x)) == low);
  }
  CHECK(kvsift::bit_count(~std::uint64_t{0}) == 64);
  CHECK(kvsift::bit_count(~u32{0}) == 32);
}

TEST_CASE("bit b is the sign of the product with column b, packed from the lowest bit; places that are no bit are 0") {
  support::draws d(1);
  for (u32 const dim : {1u, 3u, 8u, 19u, 64u, 128u})
    for (u32 const bits : {4u, 7u, 8u, 9u, 16u, 31u, 64u}) {
      std::vector<float> const given = normals(d, dim * bits), x = normals(d, dim);
      bound const b(signature{bits, 0, {given.data(), given.size()}}, dim);
      std::vector<std::uint8_t> const code = b.of(x);
      REQUIRE(code.size() == (bits + 7) / 8);
      for (u32 i = 0; i < 8 * code.size(); ++i) {
        double dot = 0;
        for (u32 j = 0; j < dim && i < bits; ++j) dot += static_cast<double>(x[j]) * static_cast<double>(given[j * bits + i]);
        CAPTURE(i);
        if (i >= bits || std::fabs(dot) > 1e-4) REQUIRE((code[i / 8] >> (i % 8) & 1) == (i < bits && dot >= 0 ? 1 : 0));
      }
    }
}

TEST_CASE("a product of zero gives 1, of either sign; NaN gives 0") {
  bound const b(signature{12, 3}, 5);
  CHECK(b.of(std::vector<float>(5, 0.0f)) == std::vector<std::uint8_t>{0xff, 0x0f});
  CHECK(b.of(std::vector<float>(5, -0.0f)) == std::vector<std::uint8_t>{0xff, 0x0f});
  CHECK(b.of({NAN, 1, 1, 1, 1}) == std::vector<std::uint8_t>{0, 0});
}

TEST_CASE("the sum of several vectors has the signs of their mean") {
  support::draws d(2);
  bound const b(signature{40, 1}, 21);
  for (u32 const count : {1u, 2u, 5u}) {
    std::vector<float> const x = normals(d, 21 * count);
    std::vector<float> mean(21, 0.0f);
    for (u32 i = 0; i < 21 * count; ++i) mean[i % 21] += x[i];
    for (float& m : mean) m /= static_cast<float>(count);
    std::vector<std::uint8_t> const want = b.of(mean);
    for (u32 u = 0; u < 5; ++u) CHECK(b.code.eight_bits(kvsift::detail::sum_of_vectors{x.data(), count, 21}, 21, u) == want[u]);
  }
}

// P[bits differ] = angle / pi: the standard deviation of the mean over 60 projections of 64 bits is below 0.009.
TEST_CASE("drawn projections tell angles") {
  support::draws d(3);
  u32 const dim = 32;
  std::vector<float> const a = normals(d, dim), other = normals(d, dim);
  for (float const mix : {0.0f, 0.3f, 1.0f, 3.0f, -1.0f}) {
    std::vector<float> b(dim);
    double aa = 0, bb = 0, ab = 0;
    for (u32 i = 0; i < dim; ++i) {
      b[i] = (mix < 0 ? -1.0f : 1.0f) * a[i] + mix * other[i];
      aa += static_cast<double>(a[i] * a[i]), bb += static_cast<double>(b[i] * b[i]), ab += static_cast<double>(a[i] * b[i]);
    }
    double differing = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      bound const code(signature{64, seed}, dim);
      differing += distance(code.of(a), code.of(b)) / 64.0 / 60;
    }
    double const angle = std::acos(std::fmin(1.0, ab / std::sqrt(aa * bb)));
    CHECK(std::fabs(differing - angle / 3.14159265) < 0.03);
  }
}

TEST_CASE("a seed draws one projection, another seed another; components have mean 0 and variance 1") {
  double sum = 0, squares = 0;
  std::set<float> seen;
  for (u32 d = 0; d < 64; ++d)
    for (u32 b = 0; b < 64; ++b) {
      float const x = signature{64, 5}.drawn(d, b);
      REQUIRE(x == signature{8, 5}.drawn(d, b));
      seen.insert(x);
      sum += static_cast<double>(x), squares += static_cast<double>(x) * static_cast<double>(x);
    }
  CHECK(seen.size() > 4000);
  CHECK(std::fabs(sum / 4096) < 0.06);
  CHECK(std::fabs(squares / 4096 - 1) < 0.1);
  CHECK(signature{8, 5}.drawn(0, 0) != signature{8, 6}.drawn(0, 0));
}

TEST_CASE("sixteen bits cost two bytes a slot and KV head, whatever the number of heads and layers") {
  kvsift::cache_shape const shape{3, 4, 2, 24, 1};
  kvsift::kv_tensor const cache{shape, kvsift::lsh(50, 4, 10)};
  CHECK(cache.bytes().columns == 3u * 4 * 50 * 2);
  CHECK(cache.bytes().tables == 24u * 16 * 4);  // one projection for all
  kvsift::kv_tensor const odd{shape, kvsift::lsh(50, 4, 10, signature{21})};
  CHECK(odd.bytes().columns == 3u * 4 * 50 * 3);
  auto const plan = kvsift::kv_tensor<decltype(kvsift::lsh(50, 4, 10))>::plan(shape, kvsift::lsh(50, 4, 10, signature{21}));
  CHECK(plan.cache.total() == odd.bytes().total());
}

TEST_CASE("a projection that is given is the cache's own from then on") {
  kvsift::cache_shape const shape{1, 1, 1, 6, 1};
  support::draws d(9);
  std::vector<float> given = normals(d, 6 * 9);
  kvsift::kv_tensor cache{shape, kvsift::lsh(8, 1, 2, signature{9, 0, {given.data(), given.size()}})};
  bound const want(signature{9, 0, {given.data(), given.size()}}, 6);
  std::vector<float> const key = normals(d, 6);
  std::vector<std::uint8_t> const code = want.of(key);
  std::fill(given.begin(), given.end(), 0.0f);
  kvsift::append(kvsift::serial_executor{}, cache[0], key.data(), key.data());
  std::uint8_t const* const e = cache.view().row(0).column<signature>().at(0);
  CHECK(std::vector<std::uint8_t>(e, e + 2) == code);
}
