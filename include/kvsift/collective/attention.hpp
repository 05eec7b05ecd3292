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

  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte* at(std::uint32_t slot) const { return base + slot * stride; }
};

/// How many parts of a row are walked side by side. One stream does not fill a core's memory bandwidth; four do.
inline constexpr std::uint32_t segment_count = 4;

/// q . k for four keys at once; q [dim], already scaled. Eight lanes a key, added in a fixed order.
template <class Payload>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void dot_four(float const* q, std::byte const* const* keys, std::uint32_t dim, float* out) {
  lanes sums[segment_count];
  for (lanes& s : sums) s.fill(0);
  std::uint32_t d = 0;
  for (; d + lane_count <= dim; d += lane_count) {
    lanes query, key;
    query.load(q + d);
#pragma GCC unroll 4
    for (std::uint32_t s = 0; s < segment_count; ++s) {
      Payload::load(keys[s], d, key);
      sums[s].add_product(query, key);
    }
  }
#pragma GCC unroll 4
  for (std::uint32_t s = 0; s < segment_count; ++s) {
    float sum = sums[s].sum();
    for (std::uint32_t i = d; i < dim; ++i) sum += q[i] * Payload::load(keys[s], i);
    out[s] = sum;
  }
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
  std::uint32_t const part = (n + segment_count - 1) / segment_count;
  for (std::uint32_t i = g.thread_rank(); i < part; i += g.num_threads()) {
    std::uint32_t slots[segment_count];
    std::byte const* addresses[segment_count];
    for (std::uint32_t s = 0; s < segment_count; ++s) {
      slots[s] = s * part + i < n ? s * part + i : i;  // past the end: the first segment's key again, same result
      addresses[s] = keys.at(slots[s]);
    }
    for (std::uint32_t h = 0; h < heads; ++h) {
      float result[segment_count];
      dot_four<Payload>(q + h * dim, addresses, dim, result);
      for (std::uint32_t s = 0; s < segment_count; ++s) logits[h * pitch + slots[s]] = result[s];
    }
  }
}

/// out[d] = sum over slots of weights[slot] x value[slot][d], for one query head. out [dim], partial [4, dim] scratch.
/// Four partial sums, one per segment, each in slot order; a thread owns whole columns of eight components.
template <class Payload, cooperative_group G>
KVSIFT_HOST_DEVICE void weighted_sum(G const& g, float const* weights, vectors values, std::uint32_t n,
                                     std::uint32_t dim, float* partial, float* out) {
  std::uint32_t const part = (n + segment_count - 1) / segment_count;
  std::uint32_t const columns = dim / lane_count;
  for (std::uint32_t c = g.thread_rank(); c < columns * segment_count; c += g.num_threads()) {
    lanes zero;
    zero.fill(0);
    zero.store(partial + (c / columns) * dim + (c % columns) * lane_count);
  }
  g.sync();
  constexpr std::uint32_t run = 4;  // slots taken before the partial sums are stored again
  for (std::uint32_t i = 0; i < part; i += run) {
    for (std::uint32_t s = 0; s < segment_count; ++s) {
      std::uint32_t const first = s * part + i;
      std::uint32_t const limit = (s + 1) * part < n ? (s + 1) * part : n;
      if (first >= limit) continue;
      std::uint32_t const slots = limit - first < run ? limit - first : run;
      float* const sums = partial + s * dim;
      if (slots == run) {
        lanes w[run];
        std::byte const* rows[run];
        for (std::uint32_t r = 0; r < run; ++r) {
          w[r].fill(weights[first + r]);
          rows[r] = values.at(first + r);
        }
        for (std::uint32_t c = g.thread_rank(); c < columns; c += g.num_threads()) {
          lanes sum, value;
          sum.load(sums + c * lane_count);
#pragma GCC unroll 4
          for (std::uint32_t r = 0; r < run; ++r) {
            Payload::load(rows[r], c * lane_count, value);
            sum.add_product(w[r], value);
          }
          sum.store(sums + c * lane_count);
        }
      } else {
        for (std::uint32_t c = g.thread_rank(); c < columns; c += g.num_threads()) {
          lanes sum, value, w;
          sum.load(sums + c * lane_count);
          for (std::uint32_t r = 0; r < slots; ++r) {
            w.fill(weights[first + r]);
            Payload::load(values.at(first + r), c * lane_count, value);
            sum.add_product(w, value);
          }
          sum.store(sums + c * lane_count);
        }
      }
    }
  }
  g.sync();
  for (std::uint32_t d = g.thread_rank(); d < columns * lane_count; d += g.num_threads())
    out[d] = (partial[d] + partial[dim + d]) + (partial[2 * dim + d] + partial[3 * dim + d]);
  for (std::uint32_t d = columns * lane_count + g.thread_rank(); d < dim; d += g.num_threads()) {
    float sum = 0;
    for (std::uint32_t slot = 0; slot < n; ++slot) sum += weights[slot] * Payload::load(values.at(slot), d);
    out[d] = sum;
  }
  g.sync();
}

}  // namespace kvsift
