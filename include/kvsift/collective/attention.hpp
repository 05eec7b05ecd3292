#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Rows are walked in four segments side by side, each from its beginning to its end: one stream does not fill a core's
/// memory bandwidth, four do.
inline constexpr std::uint32_t segment_count = 4;

/// Slots lie one behind another: each stands where its number says.
struct in_order {
  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::size_t operator()(std::size_t slot) const { return slot; }
};

namespace detail {

struct even_steps {
  std::byte const* first;
  std::size_t step;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte const* operator()(std::uint32_t s) const { return first + s * step; }
};
struct four_places {
  std::byte const* vector[segment_count];
  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte const* operator()(std::uint32_t s) const { return vector[s]; }
};

}  // namespace detail

/// The vectors of one row: that of slot i begins at base + places(i) x stride bytes.
template <class Places>
struct placed_vectors {
  std::byte* base = nullptr;
  std::size_t stride = 0;
  Places places{};

  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte* at(std::size_t slot) const { return base + places(slot) * stride; }
  /// Those of slots first, first + apart, first + 2 apart, first + 3 apart: four(s) is where the s-th begins.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE auto four(std::size_t first, std::size_t apart) const {
    if constexpr (std::is_same_v<Places, in_order>)
      return detail::even_steps{at(first), apart * stride};
    else
      return detail::four_places{{at(first), at(first + apart), at(first + 2 * apart), at(first + 3 * apart)}};
  }
};
using vectors = placed_vectors<in_order>;

/// Weighted values are added up by blocks of this many slots, and then the blocks.
inline constexpr std::uint32_t block_slots = 512;

namespace detail {

/// Calls f(d) for d = first, first + step, ... while d + lane_count <= dim, four at a time; returns the d after the last.
template <class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE std::size_t for_lanes(std::size_t first, std::size_t step, std::size_t dim, F const& f) {
  std::size_t d = first;
  constexpr std::size_t in_a_row = KVSIFT_STEPS_IN_A_ROW;
  if constexpr (in_a_row > 1)
    for (; d + (in_a_row - 1) * step + lane_count <= dim; d += in_a_row * step) {
      KVSIFT_UNROLL for (std::size_t i = 0; i < in_a_row; ++i) f(d + i * step);
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
  KVSIFT_UNROLL for (std::uint32_t s = 0; s < segment_count; ++s) sums[s].fill(0);
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

/// q . k for one key: the same sums as dot_four.
template <class Payload>
KVSIFT_HOST_DEVICE KVSIFT_INLINE float dot(float const* q, std::byte const* key, std::size_t dim) {
  lanes sum, a, b;
  sum.fill(0);
  std::size_t d = 0;
  for (; d + lane_count <= dim; d += lane_count) {
    a.load(q + d);
    Payload::load(key, d, b);
    sum.add_product(a, b);
  }
  float result = sum.sum();
  for (; d < dim; ++d) result += q[d] * Payload::load(key, d);
  return result;
}

namespace detail {

/// Logits of `heads` queries against the keys of slots first, first + apart, first + 2 apart, first + 3 apart.
template <class Payload, class Places>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void logits_of_four(float const* q, std::size_t heads, std::size_t dim,
                                                     placed_vectors<Places> keys, std::size_t first, std::size_t apart,
                                                     float* logits, std::size_t pitch) {
  auto const each = keys.four(first, apart);
  std::byte const* const four[segment_count] = {each(0), each(1), each(2), each(3)};
  logits += first;
  for (std::size_t h = 0; h < heads; ++h, q += dim, logits += pitch) dot_four<Payload>(q, four, dim, logits, apart);
}

}  // namespace detail

/// Logits of `heads` queries against n keys: logits[h x pitch + slot] = q[h] . key[slot].
/// q [heads, dim], scaled. Reads each key once for all heads: n x stride bytes.
template <class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void logits_of(G const& g, float const* q, std::size_t heads, std::size_t dim, placed_vectors<Places> keys,
                                  std::size_t n, float* logits, std::size_t pitch) {
  std::size_t const part = (n + segment_count - 1) / segment_count;
  std::size_t const whole = n > 3 * part ? n - 3 * part : 0;  // length of the last segment, which may be shorter
  if (heads == 1)  // spares the registers of the loop over heads
    for (std::size_t i = g.thread_rank(); i < whole; i += g.num_threads())
      detail::logits_of_four<Payload>(q, 1, dim, keys, i, part, logits, pitch);
  else
    for (std::size_t i = g.thread_rank(); i < whole; i += g.num_threads())
      detail::logits_of_four<Payload>(q, heads, dim, keys, i, part, logits, pitch);
  for (std::size_t i = whole + g.thread_rank(); i < part; i += g.num_threads())  // what the segments hold unequally
    for (std::size_t slot = i; slot < n; slot += part)
      for (std::size_t h = 0; h < heads; ++h) logits[h * pitch + slot] = dot<Payload>(q + h * dim, keys.at(slot), dim);
}

namespace detail {

/// sums[d] += weights[r x apart] x value r [d] for r = 0 .. Count-1, in this order; value r lies at values(r).
/// This thread's vectors of eight components.
template <class Payload, std::uint32_t Count, cooperative_group G, class Values>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void add_weighted(G const& g, float const* weights, std::size_t apart,
                                                   Values const& values, std::size_t dim, float* sums) {
  lanes w[Count];
  KVSIFT_UNROLL for (std::uint32_t r = 0; r < Count; ++r) w[r].fill(weights[r * apart]);
  detail::for_lanes(g.thread_rank() * lane_count, g.num_threads() * lane_count, dim, [&](std::size_t d) {
    lanes sum, next;
    sum.load(sums + d);
    KVSIFT_UNROLL for (std::uint32_t r = 0; r < Count; ++r) {
      Payload::load(values(r), d, next);
      sum.add_product(w[r], next);
    }
    sum.store(sums + d);
  });
}

/// The same for the components that fill no vector.
template <class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void add_rest(G const& g, float const* weights, placed_vectors<Places> values, std::size_t first, std::size_t n,
                                 std::size_t dim, float* sums) {
  for (std::size_t d = dim / lane_count * lane_count + g.thread_rank(); d < dim; d += g.num_threads())
    for (std::size_t slot = 0; slot < n; ++slot) sums[d] += weights[slot] * Payload::load(values.at(first + slot), d);
}

}  // namespace detail

/// out[h][d] += sum over slots begin .. end-1 of weights[h x pitch + slot] x value[slot][d], for `heads` query heads; `begin`
/// begins a block. out [heads, dim], partial [heads, dim] scratch. A block is added up slot by slot, taking one of each
/// segment in turn; a thread owns whole columns of eight components. Reads each value once for all heads.
template <class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void add_weighted_sums(G const& g, float const* weights, std::size_t pitch, std::size_t heads,
                                          placed_vectors<Places> values, std::size_t begin, std::size_t end, std::size_t dim,
                                          float* partial, float* out) {
  for (std::size_t first = begin; first < end; first += block_slots) {
    std::size_t const n = end - first < block_slots ? end - first : block_slots;
    std::size_t const part = (n + segment_count - 1) / segment_count;
    std::size_t const whole = n > 3 * part ? n - 3 * part : 0;
    for (std::size_t i = g.thread_rank(); i < heads * dim; i += g.num_threads()) partial[i] = 0;
    g.sync();
    for (std::size_t i = 0; i < whole; ++i) {
      float const* w = weights + first + i;
      auto const four = values.four(first + i, part);
      float* sums = partial;
      if (heads == 1)
        detail::add_weighted<Payload, segment_count>(g, w, part, four, dim, sums);
      else
        for (std::size_t h = 0; h < heads; ++h, w += pitch, sums += dim)
          detail::add_weighted<Payload, segment_count>(g, w, part, four, dim, sums);
    }
    for (std::size_t i = whole; i < part; ++i)  // what the segments hold unequally
      for (std::size_t slot = first + i; slot < first + n; slot += part) {
        detail::even_steps const one{values.at(slot), 0};
        for (std::size_t h = 0; h < heads; ++h)
          detail::add_weighted<Payload, 1>(g, weights + h * pitch + slot, 0, one, dim, partial + h * dim);
      }
    if (dim % lane_count != 0)
      for (std::size_t h = 0; h < heads; ++h)
        detail::add_rest<Payload>(g, weights + h * pitch + first, values, first, n, dim, partial + h * dim);
    g.sync();
    for (std::size_t i = g.thread_rank(); i < heads * dim; i += g.num_threads()) out[i] += partial[i];
    g.sync();
  }
}

}  // namespace kvsift
