#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/attention.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>
#include <kvsift/payload/plain.hpp>

// Attention of one query over a row that several groups share: each takes a chunk of the row's slots, and what the chunks gave is
// put together afterwards. Chunks are of fixed length and everything is added in a fixed order, so results depend neither on the
// number of threads nor on which chunk is done first.
namespace kvsift {

/// Slots of a chunk: whole pages.
inline constexpr std::uint32_t chunk_slots = 256;
/// Sums over the slots of a chunk are so many partial sums, by slot modulo this many.
inline constexpr std::uint32_t chunk_lanes = 32;
/// Weighted values of a chunk likewise.
inline constexpr std::uint32_t chunk_parts = 8;

/// Chunks that `slots` slots make.
KVSIFT_HOST_DEVICE constexpr std::uint32_t chunks_of(std::uint32_t slots) { return (slots + chunk_slots - 1) / chunk_slots; }

namespace detail {

/// highest[h] = the highest of x(h, i), i < n, and totals[h] = the sum of weigh(h, i, highest[h]), for `heads` heads; n at least 1.
/// weigh is called once for each i. by_lane [2, heads, chunk_lanes].
template <cooperative_group G, class X, class Weigh>
KVSIFT_HOST_DEVICE void highest_and_total(G const& g, std::uint32_t heads, std::uint32_t n, X const& x, Weigh const& weigh, float* by_lane,
                                          float* highest, float* totals) {
  std::uint32_t const all = heads * chunk_lanes;
  float* const sums = by_lane + all;
  for (std::uint32_t item = g.thread_rank(); item < all; item += g.num_threads()) {
    std::uint32_t const h = item / chunk_lanes, lane = item % chunk_lanes;
    float best = x(h, lane < n ? lane : 0);
    for (std::uint32_t i = lane + chunk_lanes; i < n; i += chunk_lanes) best = x(h, i) > best ? x(h, i) : best;
    by_lane[item] = best;
  }
  g.sync();
  for (std::uint32_t item = g.thread_rank(); item < all; item += g.num_threads()) {
    std::uint32_t const h = item / chunk_lanes, lane = item % chunk_lanes;
    float best = by_lane[h * chunk_lanes], sum = 0;
    for (std::uint32_t l = 1; l < chunk_lanes; ++l) best = by_lane[h * chunk_lanes + l] > best ? by_lane[h * chunk_lanes + l] : best;
    for (std::uint32_t i = lane; i < n; i += chunk_lanes) sum += weigh(h, i, best);
    sums[item] = sum;
    if (lane == 0) highest[h] = best;
  }
  g.sync();
  for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
    float total = 0;
    for (std::uint32_t l = 0; l < chunk_lanes; ++l) total += sums[h * chunk_lanes + l];
    totals[h] = total;
  }
}

/// out[h x pitch] = q[h] . key for Heads queries q [Heads, dim], the key read once. Eight lanes, added in a fixed order.
template <class Payload, std::uint32_t Heads>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void dot_heads(float const* q, std::byte const* key, std::size_t dim, float* out, std::size_t pitch) {
  lanes sums[Heads], query, part;
  KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) sums[h].fill(0);
  std::size_t d = 0;
  for (; d + lane_count <= dim; d += lane_count) {
    Payload::load(key, d, part);
    KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
      if constexpr (requires { Payload::is_aligned; }) query.load_aligned(q + h * dim + d);
      else query.load(q + h * dim + d);
      sums[h].add_product(query, part);
    }
  }
  KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
    float result = sums[h].sum();
    for (std::size_t i = d; i < dim; ++i) result += q[h * dim + i] * Payload::load(key, i);
    out[h * pitch] = result;
  }
}

/// out[h x dim + i] = sum of weights[h x pitch + slot] x value[slot][d + i] over slots first, first + chunk_parts, ... below n, for
/// Heads heads and eight components.
template <class Payload, std::uint32_t Heads, class Places>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void weigh_values(float const* weights, std::size_t pitch, placed_vectors<Places> const& values,
                                                   std::uint32_t first, std::uint32_t n, std::size_t d, std::size_t dim, float* out) {
  lanes sums[Heads];
  KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) sums[h].fill(0);
  for (std::uint32_t slot = first; slot < n; slot += chunk_parts) {
    lanes value, weight;
    Payload::load(values.at(slot), d, value);
    KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
      weight.fill(weights[h * pitch + slot]);
      sums[h].add_product(weight, value);
    }
  }
  KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) sums[h].store(out + h * dim);
}

}  // namespace detail

/// Logits of `heads` queries against the n keys of a chunk: logits[h x pitch + slot] = q[h] . key[slot]. q [heads, dim], scaled, on a
/// 16-byte boundary. A thread has a slot and four heads: each key is read once for as many.
template <class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void logits_of_chunk(G const& g, float const* q, std::uint32_t heads, std::uint32_t dim, placed_vectors<Places> const& keys,
                                        std::uint32_t n, float* logits, std::size_t pitch) {
  detail::with_best_load<Payload>(dim, [&]<class Read>(Read) {
    for (std::uint32_t slot = g.thread_rank(); slot < n; slot += g.num_threads()) {
      std::byte const* const key = keys.at(slot);
      std::uint32_t h = 0;
      for (; h + 4 <= heads; h += 4) detail::dot_heads<Read, 4>(q + h * dim, key, dim, logits + h * pitch + slot, pitch);
      for (; h < heads; ++h) detail::dot_heads<Read, 1>(q + h * dim, key, dim, logits + h * pitch + slot, pitch);
    }
  });
}

/// Turns the logits of a chunk into weights in place: w[h x pitch + i] = exp(l - highest of its head), i < n, n at least 1; their
/// sums go to totals. highest, totals [heads], by_lane [2, heads, chunk_lanes]. totals are there after the next sync.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void weigh_chunk(G const& g, float* w, std::size_t pitch, std::uint32_t heads, std::uint32_t n, float* by_lane,
                                    float* highest, float* totals) {
  detail::highest_and_total(
      g, heads, n, [&](std::uint32_t h, std::uint32_t i) { return w[h * pitch + i]; },
      [&](std::uint32_t h, std::uint32_t i, float best) { return w[h * pitch + i] = exp_of(w[h * pitch + i] - best); }, by_lane, highest,
      totals);
}

/// out[h][d] = sum over the n slots of a chunk of weights[h x pitch + slot] x value[slot][d]. out [heads, dim], parts
/// [chunk_parts, heads, dim] scratch. Reads each value once for four heads.
template <class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void add_chunk(G const& g, float const* weights, std::size_t pitch, std::uint32_t heads, placed_vectors<Places> const& values,
                                  std::uint32_t n, std::uint32_t dim, float* parts, float* out) {
  std::uint32_t const columns = (dim + lane_count - 1) / lane_count, all = heads * dim;
  for (std::uint32_t item = g.thread_rank(); item < chunk_parts * columns; item += g.num_threads()) {
    std::uint32_t const part = item / columns, d = item % columns * lane_count;
    float* const out_of_part = parts + part * all;
    if (d + lane_count <= dim) {
      detail::with_best_load<Payload>(dim, [&]<class Read>(Read) {
        std::uint32_t h = 0;
        for (; h + 4 <= heads; h += 4)
          detail::weigh_values<Read, 4>(weights + h * pitch, pitch, values, part, n, d, dim, out_of_part + h * dim + d);
        for (; h < heads; ++h) detail::weigh_values<Read, 1>(weights + h * pitch, pitch, values, part, n, d, dim, out_of_part + h * dim + d);
      });
    } else {
      for (std::uint32_t h = 0; h < heads; ++h)
        for (std::uint32_t i = d; i < dim; ++i) {
          float sum = 0;
          for (std::uint32_t slot = part; slot < n; slot += chunk_parts) sum += weights[h * pitch + slot] * Payload::load(values.at(slot), i);
          out_of_part[h * dim + i] = sum;
        }
    }
  }
  g.sync();
  for (std::uint32_t i = g.thread_rank(); i < all; i += g.num_threads()) {
    float sum = parts[i];
    for (std::uint32_t part = 1; part < chunk_parts; ++part) sum += parts[part * all + i];
    out[i] = sum;
  }
}

/// What the chunks of a row gave, one behind another: chunk c's at first + c x apart.
struct chunk_results {
  float const* first = nullptr;
  std::size_t apart = 0;
  std::uint32_t heads = 0, dim = 0;
  std::uint32_t chunks = 0;

  /// Floats of one: highest [heads], totals [heads], values [heads, dim].
  KVSIFT_HOST_DEVICE static constexpr std::size_t floats(std::size_t heads, std::size_t dim) { return heads * (dim + 2); }
  KVSIFT_HOST_DEVICE float highest(std::uint32_t c, std::uint32_t h) const { return first[c * apart + h]; }
  KVSIFT_HOST_DEVICE float total(std::uint32_t c, std::uint32_t h) const { return first[c * apart + heads + h]; }
  KVSIFT_HOST_DEVICE float value(std::uint32_t c, std::uint32_t i) const { return first[c * apart + 2 * heads + i]; }
};

/// What a chunk's weights have to be multiplied with to be probabilities of the row: exp(highest of the chunk - highest) / total.
struct row_softmax {
  float* highest;   ///< [heads], of the row
  float* inverses;  ///< [heads], 1 / the sum of all weights

  KVSIFT_HOST_DEVICE float factor(chunk_results const& of, std::uint32_t c, std::uint32_t h) const {
    return exp_of(of.highest(c, h) - highest[h]) * inverses[h];
  }
};

/// Finds that out of the chunks of a row, of which there is at least one. by_lane [2, heads, chunk_lanes].
template <cooperative_group G>
KVSIFT_HOST_DEVICE void find_softmax(G const& g, chunk_results const& of, float* by_lane, row_softmax const& all) {
  detail::highest_and_total(
      g, of.heads, of.chunks, [&](std::uint32_t h, std::uint32_t c) { return of.highest(c, h); },
      [&](std::uint32_t h, std::uint32_t c, float best) { return of.total(c, h) * exp_of(of.highest(c, h) - best); }, by_lane, all.highest,
      all.inverses);
  for (std::uint32_t h = g.thread_rank(); h < of.heads; h += g.num_threads()) all.inverses[h] = 1.0f / all.inverses[h];
  g.sync();
}

/// out[i] = the row's attention [heads, dim], for the i that are chunk `mine`'s to write: of every `of.chunks` times 32 components 32.
/// Chunks are added one after another.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void merge_values(G const& g, chunk_results const& of, row_softmax const& all, std::uint32_t mine, float* out) {
  constexpr std::uint32_t together = 32;
  for (std::uint32_t item = g.thread_rank();; item += g.num_threads()) {
    std::uint32_t const i = (mine + item / together * of.chunks) * together + item % together;
    if (i >= of.heads * of.dim) return;
    float sum = 0;
    for (std::uint32_t c = 0; c < of.chunks; ++c) sum += all.factor(of, c, i / of.dim) * of.value(c, i);
    out[i] = sum;
  }
}

}  // namespace kvsift
