#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/core/span.hpp>

namespace kvsift {

namespace detail {

/// A vector [head_dim] as it is given.
struct one_vector {
  float const* x;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void load(std::size_t d, lanes& out) const { out.load(x + d); }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::size_t d) const { return x[d]; }
};

/// The sum of `count` vectors that lie head_dim apart, in their order.
struct sum_of_vectors {
  float const* x;
  std::uint32_t count;
  std::uint32_t dim;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void load(std::size_t d, lanes& out) const {
    out.load(x + d);
    for (std::uint32_t i = 1; i < count; ++i) {
      lanes next;
      next.load(x + std::size_t{i} * dim + d);
      out.add(next);
    }
  }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::size_t d) const {
    float sum = x[d];
    for (std::uint32_t i = 1; i < count; ++i) sum += x[std::size_t{i} * dim + d];
    return sum;
  }
};

}  // namespace detail

/// Signs of random projections of the key: bit b is 1 iff (k . projection[:, b]) >= 0. Keys at an angle a differ in a / pi
/// of the bits on average. LSH-E / HashEvict (arXiv 2412.16187).
///
/// Computed once, when the token arrives; bits are packed, (bits + 7) / 8 bytes a slot, the lowest bit first. One projection
/// [head_dim, bits] serves every head of every layer: `given`, or drawn from `seed`. It belongs to the policy; the cache
/// copies it when it is made.
struct signature {
  static constexpr char const* name = "signature";
  using element = std::uint8_t;
  static constexpr bool feeds_on_attention = false;
  std::uint32_t bits = 16;         ///< 4 to 64; 0: not stored
  std::uint64_t seed = 0;
  span<float const> given{};       ///< [head_dim, bits], or empty; must live as long as the policy
  float const* projection = nullptr;  ///< as bind made it: [width, head_dim, 8]. Of a cache's column, never of a policy's

  friend constexpr bool operator==(signature const& a, signature const& b) {
    bool same = a.bits == b.bits && a.seed == b.seed && a.given.size == b.given.size && a.projection == b.projection;
    for (std::size_t i = 0; same && i < a.given.size; ++i) same = a.given.data[i] == b.given.data[i];
    return same;
  }

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return (bits + 7) / 8; }
  constexpr void drop() { bits = 0; }
  constexpr bool merge(signature const& other) {
    if (other.bits == 0 || other == *this) return true;
    bool const free = bits == 0;
    if (free) *this = other;
    return free;
  }
  KVSIFT_HOST_DEVICE void admit(std::uint8_t* e, arrival const& token, head_context const&) const {
    for (std::uint32_t u = 0; u < width(); ++u) e[u] = eight_bits(detail::one_vector{token.key}, token.head_dim, u);
  }
  KVSIFT_HOST_DEVICE void observe(std::uint8_t*, mass const&, head_context const&) const {}

  /// Bits 8 u .. 8 u + 7 of the code of a vector. Four sums a bit, over every fourth component, added in a fixed order: the
  /// same bits whoever computes them. 8 x head_dim multiplications.
  template <class Vector>
  KVSIFT_HOST_DEVICE std::uint8_t eight_bits(Vector const& x, std::uint32_t head_dim, std::uint32_t u) const {
    float const* const table = projection + std::size_t{u} * head_dim * lane_count;
    lanes sums[4];
    KVSIFT_UNROLL for (unsigned i = 0; i < 4; ++i) sums[i].fill(0);
    std::size_t d = 0;
    for (; d + lane_count <= head_dim; d += lane_count) {
      lanes block;
      x.load(d, block);
      float components[lane_count];
      block.store(components);
      KVSIFT_UNROLL for (unsigned i = 0; i < lane_count; ++i) add(components[i], table + (d + i) * lane_count, sums[i % 4]);
    }
    if (d != head_dim) {
      KVSIFT_UNROLL for (unsigned i = 0; i < lane_count; ++i)  // d is a multiple of eight
        if (d + i < head_dim) add(x(d + i), table + (d + i) * lane_count, sums[i % 4]);
    }
    sums[0].add(sums[1]);
    sums[2].add(sums[3]);
    sums[0].add(sums[2]);
    float dots[lane_count];
    sums[0].store(dots);
    std::uint32_t const used = bits - 8 * u < lane_count ? bits - 8 * u : lane_count;
    std::uint32_t code = 0;
    KVSIFT_UNROLL for (std::uint32_t b = 0; b < lane_count; ++b) code |= (dots[b] >= 0.0f ? 1u : 0u) << b;
    return static_cast<std::uint8_t>(code & ((1u << used) - 1));
  }

  /// Floats that the projection takes in a cache. Throws bad_argument for bits or a projection that do not fit.
  std::size_t table_floats(std::uint32_t head_dim) const {
    if (bits == 0) return 0;
    require(bits >= 4 && bits <= 64, "signature.bits", bits, "give 4 to 64");
    require(given.empty() || given.size == std::size_t{head_dim} * bits, "numbers of the projection", given.size,
            "give head_dim x bits of them");
    return std::size_t{width()} * head_dim * lane_count;
  }
  /// Writes the projection to `to` [table_floats], and keeps where tasks find it. Places of bits that there are not become 0.
  void bind(std::uint32_t head_dim, float* to, float const* found) {
    if (bits == 0) return;
    for (std::uint32_t u = 0; u < width(); ++u)
      for (std::uint32_t d = 0; d < head_dim; ++d)
        for (std::uint32_t i = 0; i < lane_count; ++i) {
          std::uint32_t const b = 8 * u + i;
          to[(std::size_t{u} * head_dim + d) * lane_count + i] =
              b >= bits ? 0.0f : given.empty() ? drawn(d, b) : given[std::size_t{d} * bits + b];
        }
    projection = found;
  }
  /// Component d of projection b if none is given: of mean 0 and variance 1, normal but for its tails. Twelve uniform
  /// draws, whose sum is exact.
  float drawn(std::uint32_t d, std::uint32_t b) const {
    counter_random const draw{seed};
    double sum = -6;
    for (std::uint32_t i = 0; i < 12; ++i) sum += static_cast<double>(draw.uniform(d, b, i));
    return static_cast<float>(sum);
  }

 private:
  KVSIFT_HOST_DEVICE static KVSIFT_INLINE void add(float x, float const* row, lanes& sum) {
    lanes factor, eight;
    factor.fill(x);
    eight.load(row);
    sum.add_product(factor, eight);
  }
};

}  // namespace kvsift
