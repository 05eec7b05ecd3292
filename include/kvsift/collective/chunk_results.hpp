#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

// What the chunks of a row gave, and the row's attention from them. Chunks are of fixed length and everything is added in a fixed order, so
// results depend neither on the number of threads nor on which chunk is done first.
namespace kvsift {

/// Slots of a chunk: whole pages.
inline constexpr std::uint32_t chunk_slots = 256;
/// Sums over the slots of a chunk, and over chunks, are so many partial sums, by number modulo this many.
inline constexpr std::uint32_t chunk_lanes = 32;

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

}  // namespace detail

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
