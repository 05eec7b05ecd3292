#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// The vectors of one row: slot i begins at base + i x stride bytes.
struct vectors {
  std::byte* base = nullptr;
  std::size_t stride = 0;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte* at(std::size_t slot) const { return base + slot * stride; }
};

/// Rows are walked in four segments side by side: one stream does not fill a core's memory bandwidth, four do. A segment
/// is 128 slots, so that which slots are added to which partial sum does not depend on how many there are.
inline constexpr std::uint32_t segment_count = 4;
inline constexpr std::uint32_t segment_slots = 128;

namespace detail {

/// Calls f(d) for d = first, first + step, ... while d + lane_count <= dim, four at a time.
template <class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::size_t for_lanes(std::size_t first, std::size_t step, std::size_t dim, F const& f) {
  std::size_t d = first;
  for (; d + 3 * step + lane_count <= dim; d += 4 * step) {
    f(d);
    f(d + step);
    f(d + 2 * step);
    f(d + 3 * step);
  }
  for (; d + lane_count <= dim; d += step) f(d);
  return d;
}

}  // namespace detail

/// out[s x apart] = q . key s for four keys at once; q [dim], already scaled. Eight lanes a key, added in a fixed order.
template <class Payload>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void dot_four(float const* q, std::byte const* const* keys, std::size_t dim, float* out,
                                               std::size_t apart) {
  lanes sums[segment_count];
  for (lanes& s : sums) s.fill(0);
  std::size_t const d = detail::for_lanes(0, lane_count, dim, [&](std::size_t i) {
    lanes query, key;
    query.load(q + i);
    KVSIFT_UNROLL for (std::uint32_t s = 0; s < segment_count; ++s) {
      Payload::load(keys[s], i, key);
      sums[s].add_product(query, key);
    }
  });
  sum_four(sums, out, apart);
  if (d == dim) return;
  for (std::uint32_t s = 0; s < segment_count; ++s)
    for (std::size_t i = d; i < dim; ++i) out[s * apart] += q[i] * Payload::load(keys[s], i);
}

/// q . k of two float vectors [dim]: eight lanes added in a fixed order.
KVSIFT_HOST_DEVICE KVSIFT_INLINE float dot(float const* q, float const* k, std::uint32_t dim) {
  lanes sum, a, b;
  sum.fill(0);
  std::uint32_t d = 0;
  for (; d + lane_count <= dim; d += lane_count) {
    a.load(q + d);
    b.load(k + d);
    sum.add_product(a, b);
  }
  float result = sum.sum();
  for (; d < dim; ++d) result += q[d] * k[d];
  return result;
}

/// Logits of `heads` queries against n keys: logits[h x pitch + slot] = q[h] . key[slot].
/// q [heads, dim], scaled. Reads each key once for all heads: n x stride bytes.
template <class Payload, cooperative_group G>
KVSIFT_HOST_DEVICE void logits_of(G const& g, float const* q, std::uint32_t heads, std::uint32_t dim, vectors keys,
                                  std::uint32_t n, float* logits, std::size_t pitch) {
  std::size_t const part = (n + segment_count - 1) / segment_count;
  std::size_t const whole = n > 3 * part ? n - 3 * part : 0;  // length of the last segment, which may be shorter
  auto const four = [&](std::size_t first, std::size_t apart) {
    std::byte const* const key = keys.at(first);
    std::size_t const step = apart * keys.stride;
    std::byte const* const four_keys[segment_count] = {key, key + step, key + 2 * step, key + 3 * step};
    float const* query = q;
    float* to = logits + first;
    for (std::size_t h = 0; h < heads; ++h, query += dim, to += pitch) dot_four<Payload>(query, four_keys, dim, to, apart);
  };
  for (std::size_t i = g.thread_rank(); i < whole; i += g.num_threads()) four(i, part);
  for (std::size_t i = whole + g.thread_rank(); i < part; i += g.num_threads())
    for (std::size_t slot = i; slot < n; slot += part) four(slot, 0);  // what the segments hold unequally: alone
}

namespace detail {

/// sums[d] += weights[r] x value r [d] for r = 0 .. Count-1, in this order; this thread's vectors of eight components.
template <class Payload, std::uint32_t Count, cooperative_group G>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void add_weighted(G const& g, float const* weights, std::byte const* values,
                                                   std::size_t stride, std::uint32_t dim, float* sums) {
  lanes w[Count];
  std::byte const* rows[Count];
  KVSIFT_UNROLL for (std::uint32_t r = 0; r < Count; ++r) {
    w[r].fill(weights[r]);
    rows[r] = values + r * stride;
  }
  detail::for_lanes(g.thread_rank() * lane_count, g.num_threads() * lane_count, dim, [&](std::size_t d) {
    lanes sum, value;
    sum.load(sums + d);
    KVSIFT_UNROLL for (std::uint32_t r = 0; r < Count; ++r) {
      Payload::load(rows[r], d, value);
      sum.add_product(w[r], value);
    }
    sum.store(sums + d);
  });
}

}  // namespace detail

/// out[h][d] = sum over slots of weights[h x pitch + slot] x value[slot][d], for `heads` query heads.
/// out [heads, dim], partial [heads, 4, dim] scratch. Four partial sums, of the slots i with i / 128 mod 4 = 0 .. 3, each in
/// slot order; a thread owns whole columns of eight components. Reads each value once for all heads.
template <class Payload, cooperative_group G>
KVSIFT_HOST_DEVICE void weighted_sums(G const& g, float const* weights, std::size_t pitch, std::uint32_t heads,
                                      vectors values, std::uint32_t n, std::uint32_t dim, float* partial, float* out) {
  constexpr std::uint32_t run = 8;  // slots taken before the partial sums are stored again
  std::uint32_t const whole = dim / lane_count * lane_count;
  for (std::uint32_t i = g.thread_rank(); i < heads * segment_count; i += g.num_threads())
    for (std::uint32_t d = 0; d < dim; ++d) partial[i * dim + d] = 0;
  g.sync();
  for (std::size_t block = 0; block < n; block += segment_count * segment_slots) {
    for (std::size_t i = block; i < block + segment_slots; i += run) {
      float* sums = partial;
      for (std::size_t first = i; first < n && sums < partial + segment_count * dim; first += segment_slots, sums += dim) {
        float const* w = weights + first;
        for (std::size_t h = 0; h < heads; ++h, w += pitch) {
          float* const mine = sums + h * segment_count * dim;
          if (first + run <= n)
            detail::add_weighted<Payload, run>(g, w, values.at(first), values.stride, dim, mine);
          else
            for (std::size_t r = 0; r < n - first; ++r)
              detail::add_weighted<Payload, 1>(g, w + r, values.at(first + r), values.stride, dim, mine);
        }
      }
    }
  }
  g.sync();
  for (std::uint32_t h = 0; h < heads; ++h) {
    float const* const sums = partial + h * segment_count * dim;
    for (std::uint32_t d = g.thread_rank(); d < whole; d += g.num_threads())
      out[h * dim + d] = (sums[d] + sums[dim + d]) + (sums[2 * dim + d] + sums[3 * dim + d]);
    for (std::uint32_t d = whole + g.thread_rank(); d < dim; d += g.num_threads()) {
      float sum = 0;
      for (std::uint32_t slot = 0; slot < n; ++slot) sum += weights[h * pitch + slot] * Payload::load(values.at(slot), d);
      out[h * dim + d] = sum;
    }
  }
  g.sync();
}

}  // namespace kvsift
