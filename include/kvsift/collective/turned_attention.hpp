#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/attention.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

namespace detail {

/// Heads that one turning of a key serves. More would want more registers than a GPU's thread has beside others.
#if defined(__CUDA_ARCH__)
inline constexpr std::uint32_t turned_heads = 2;
#else
inline constexpr std::uint32_t turned_heads = 4;
#endif

/// out[h x pitch + s x apart] = q[h] . key s turned to places[s], for Slots keys and Heads queries [Heads, dim]. Turned keys are not
/// stored: each eight components go from the key into the sums. Sums do not depend on Slots and Heads.
template <class Payload, std::uint32_t Slots, std::uint32_t Heads>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void turned_dots(float const* q, std::uint32_t dim, std::byte const* const* keys, std::uint32_t const* places,
                                                  rotary_view const& rotary, float* out, std::size_t apart, std::size_t pitch) {
  std::uint32_t const half = rotary.rotary_dim / 2;
  bool const in_lanes = rotary.pairs == pairing::half_split && half % lane_count == 0;
  lanes sums[Slots][Heads];
  float rest[Slots][Heads];
  KVSIFT_UNROLL for (std::uint32_t s = 0; s < Slots; ++s)
    KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
      sums[s][h].fill(0);
      rest[s][h] = 0;
    }
  for (std::uint32_t i = 0; in_lanes && i < half; i += lane_count) {
    lanes first[Heads], second[Heads];
    KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
      first[h].load(q + h * dim + i);
      second[h].load(q + h * dim + half + i);
    }
    KVSIFT_UNROLL for (std::uint32_t s = 0; s < Slots; ++s) {
      lanes x, y, cosine, sine, turned;
      Payload::load(keys[s], i, x);
      Payload::load(keys[s], half + i, y);
      cosine.load(rotary.cosines + std::size_t{places[s]} * half + i);
      sine.load(rotary.sines + std::size_t{places[s]} * half + i);
      turned.fill(0);
      turned.add_product(x, cosine);
      turned.subtract_product(y, sine);
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) sums[s][h].add_product(first[h], turned);
      turned.fill(0);
      turned.add_product(y, cosine);
      turned.add_product(x, sine);
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) sums[s][h].add_product(second[h], turned);
    }
  }
  std::uint32_t const step = rotary.pairs == pairing::half_split ? 1 : 2, between = rotary.pairs == pairing::half_split ? half : 1;
  for (std::uint32_t i = 0; !in_lanes && i < half; ++i)
    KVSIFT_UNROLL for (std::uint32_t s = 0; s < Slots; ++s) {
      float const x = Payload::load(keys[s], i * step), y = Payload::load(keys[s], i * step + between);
      float const cosine = rotary.cosines[std::size_t{places[s]} * half + i], sine = rotary.sines[std::size_t{places[s]} * half + i];
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h)
        rest[s][h] += q[h * dim + i * step] * (x * cosine - y * sine) + q[h * dim + i * step + between] * (y * cosine + x * sine);
    }
  std::uint32_t d = rotary.rotary_dim;
  for (; d % lane_count == 0 && d + lane_count <= dim; d += lane_count)
    KVSIFT_UNROLL for (std::uint32_t s = 0; s < Slots; ++s) {
      lanes key, query;
      Payload::load(keys[s], d, key);
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
        query.load(q + h * dim + d);
        sums[s][h].add_product(query, key);
      }
    }
  KVSIFT_UNROLL for (std::uint32_t s = 0; s < Slots; ++s)
    KVSIFT_UNROLL for (std::uint32_t h = 0; h < Heads; ++h) {
      for (std::uint32_t i = d; i < dim; ++i) rest[s][h] += q[h * dim + i] * Payload::load(keys[s], i);
      out[h * pitch + s * apart] = sums[s][h].sum() + rest[s][h];
    }
}

}  // namespace detail

/// Logits of `heads` queries against n keys that are turned to their places as they are read:
///
///   logits[h x pitch + slot] = q[h] . turned(key[slot], place(slot))
///   q [heads, dim], scaled and turned
///
/// Reads each key once for four heads (two on a GPU), and of the rotation's table rotary_dim floats a slot.
template <class Payload, cooperative_group G, class Places, class Place>
KVSIFT_HOST_DEVICE void turned_logits(G const& g, float const* q, std::uint32_t heads, std::uint32_t dim, placed_vectors<Places> keys,
                                      Place const& place, rotary_view const& rotary, std::uint32_t n, float* logits, std::size_t pitch) {
#if !defined(__CUDA_ARCH__)  // where threads are many each has a slot
  if (heads == 1) {
    std::uint32_t const part = (n + segment_count - 1) / segment_count, whole = n > 3 * part ? n - 3 * part : 0;
    for (std::uint32_t i = g.thread_rank(); i < whole; i += g.num_threads()) {
      auto const each = keys.four(i, part);
      std::byte const* const four[segment_count] = {each(0), each(1), each(2), each(3)};
      std::uint32_t const places[segment_count] = {place(i), place(i + part), place(i + 2 * part), place(i + 3 * part)};
      detail::turned_dots<Payload, segment_count, 1>(q, dim, four, places, rotary, logits + i, part, pitch);
    }
    for (std::uint32_t i = whole + g.thread_rank(); i < part; i += g.num_threads())  // what the segments hold unequally
      for (std::uint32_t slot = i; slot < n; slot += part) {
        std::byte const* const key = keys.at(slot);
        std::uint32_t const at = place(slot);
        detail::turned_dots<Payload, 1, 1>(q, dim, &key, &at, rotary, logits + slot, 0, pitch);
      }
    return;
  }
#endif
  for (std::uint32_t slot = g.thread_rank(); slot < n; slot += g.num_threads()) {
    std::byte const* const key = keys.at(slot);
    std::uint32_t const at = place(slot);
    std::uint32_t h = 0;
    for (; h + detail::turned_heads <= heads; h += detail::turned_heads)
      detail::turned_dots<Payload, 1, detail::turned_heads>(q + h * dim, dim, &key, &at, rotary, logits + h * pitch + slot, 0, pitch);
    for (; h < heads; ++h) detail::turned_dots<Payload, 1, 1>(q + h * dim, dim, &key, &at, rotary, logits + h * pitch + slot, 0, pitch);
  }
}

}  // namespace kvsift
