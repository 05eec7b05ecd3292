#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/product.hpp>
#include <kvsift/collective/softmax.hpp>
#include <kvsift/column/attention.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/shape.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/payload/plain.hpp>

namespace kvsift {

/// The last queries of a prompt, and all of its keys, encoded as attention sees them.
struct observation_window {
  float const* queries = nullptr;  ///< [sequences, window, kv_heads x group, head_dim], of the tokens' last `window` positions
  float const* keys = nullptr;     ///< [sequences, tokens, kv_heads, head_dim]
  std::uint32_t tokens = 0;
  std::uint32_t window = 0;  ///< 1 .. tokens
  group_reduction reduce = group_reduction::mean;
  float const* lse = nullptr;  ///< [sequences, window, kv_heads x group]: log of the sum of exp(logit), where attention has it; or null
};

namespace detail {

inline constexpr std::uint32_t mass_tile = 256;  ///< keys at a time, where the sums of exponentials are known

/// What a block works with. With a null base it only counts.
struct mass_scratch {
  float* queries = nullptr;  ///< window x group, packed, scaled
  float* logits = nullptr;   ///< [window x group, pitch]
  float* partial = nullptr;  ///< [8]
  std::uint32_t* words = nullptr;
  std::size_t pitch = 0;
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static mass_scratch carve(std::byte* base, cache_shape const& shape, observation_window const& w,
                                               std::uint32_t threads) {
    mass_scratch s;
    s.pitch = w.lse != nullptr && w.tokens > mass_tile ? mass_tile : (std::size_t{w.tokens} + 7) / 8 * 8;
    std::size_t const heads = std::size_t{w.window} * shape.group;
    carver memory{base};
    s.queries = memory.take<float>(packed_floats(heads, shape.head_dim));
    s.logits = memory.take<float>(heads * s.pitch);
    s.partial = memory.take<float>(lane_count);
    s.words = memory.take<std::uint32_t>(std::size_t{2} * threads);
    s.bytes = memory.bytes;
    return s;
  }
};

/// A float with as much of what lanes can do as the sums below need.
struct one_lane {
  float v;
  KVSIFT_HOST_DEVICE void fill(float x) { v = x; }
  KVSIFT_HOST_DEVICE void load(float const* p) { v = *p; }
  KVSIFT_HOST_DEVICE void add(one_lane a) { v += a.v; }
  KVSIFT_HOST_DEVICE void scale(float x) { v *= x; }
  KVSIFT_HOST_DEVICE void raise_to(one_lane a) { v = a.v > v ? a.v : v; }
};

}  // namespace detail

/// One block per (sequence, KV head): see attention_mass.
struct attention_mass_task {
  cache_shape shape;
  observation_window given;
  float* mass;
  std::size_t pitch;
  std::byte* workspace;
  std::size_t block_bytes;
  std::uint32_t threads;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    detail::mass_scratch const scratch = detail::mass_scratch::carve(workspace + block * block_bytes, shape, given, threads);
    std::uint32_t const dim = shape.head_dim, heads = given.window * shape.group;
    std::uint32_t const sequence = block / shape.kv_heads, head = block % shape.kv_heads;
    std::size_t const stride = std::size_t{shape.kv_heads} * dim;
    float const* const first_key = given.keys + sequence * given.tokens * stride + std::size_t{head} * dim;
    auto const padded = static_cast<std::uint32_t>(packed_floats(heads, 1));
    float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (std::uint32_t h = g.thread_rank(); h < padded; h += g.num_threads()) {
      float const* const q = h < heads ? given.queries + of_query(sequence, head, h) * dim : nullptr;
      for (std::uint32_t d = 0; d < dim; ++d) scratch.queries[packed_place(h, d, dim)] = q != nullptr ? q[d] * scale : 0.0f;
    }
    g.sync();
    float* const out = mass + block * pitch;
    bool const whole = given.lse == nullptr;
    std::uint32_t const tile = whole ? given.tokens : detail::mass_tile;
    for (std::uint32_t first = 0; first < given.tokens; first += tile) {
      std::uint32_t const n = given.tokens - first < tile ? given.tokens - first : tile;
      products_of(g, scratch.queries, heads, dim, first_key + first * stride, stride, n, scratch.logits, scratch.pitch);
      g.sync();
      for (std::uint32_t h = 0; h < heads; ++h) {
        float* const p = scratch.logits + h * scratch.pitch;
        if (whole) {
          softmax(g, p, seen_by(h), scratch.partial, scratch.words);
        } else {
          float const log_sum = given.lse[of_query(sequence, head, h)];
          for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) p[i] = exp_of(p[i] - log_sum);
        }
      }
      g.sync();
      std::uint32_t const past = given.tokens - given.window, seen_by_all = first < past ? (past - first < n ? past - first : n) : 0;
      std::uint32_t const together = seen_by_all / lane_count * lane_count;
      for (std::uint32_t i = g.thread_rank() * lane_count; i < together; i += g.num_threads() * lane_count)
        reduced<lanes>(scratch, 0, i).store(out + first + i);
      for (std::uint32_t i = together + g.thread_rank(); i < n; i += g.num_threads())
        out[first + i] = reduced<detail::one_lane>(scratch, i < seen_by_all ? 0 : first + i - past, i).v;
      g.sync();
    }
  }

 private:
  /// Place of the window's query head h (of one KV head, query by query) among all query heads of the batch.
  KVSIFT_HOST_DEVICE std::size_t of_query(std::uint32_t sequence, std::uint32_t head, std::uint32_t h) const {
    std::size_t const query = std::size_t{sequence} * given.window + h / shape.group;
    return query * shape.query_heads() + std::size_t{head} * shape.group + h % shape.group;
  }
  /// Keys that the window's query head h sees.
  KVSIFT_HOST_DEVICE std::uint32_t seen_by(std::uint32_t h) const { return given.tokens - given.window + h / shape.group + 1; }

  /// The mass of key i of the tile, of queries `from` on: queries in order; the mean reduces the group before it sums, as
  /// attention's evidence does. Several: a lanes, for keys i .. i + 7, or one_lane.
  template <class Several>
  KVSIFT_HOST_DEVICE Several reduced(detail::mass_scratch const& scratch, std::uint32_t from, std::uint32_t i) const {
    auto const at = [&](std::uint32_t query, std::uint32_t h) {
      Several p;
      p.load(scratch.logits + (std::size_t{query} * shape.group + h) * scratch.pitch + i);
      return p;
    };
    Several result;
    result.fill(0);
    if (given.reduce == group_reduction::mean) {
      float const share = 1.0f / static_cast<float>(shape.group);
      for (std::uint32_t q = from; q < given.window; ++q) {
        Several sum = at(q, 0);
        for (std::uint32_t h = 1; h < shape.group; ++h) sum.add(at(q, h));
        sum.scale(share);
        result.add(sum);
      }
      return result;
    }
    for (std::uint32_t h = 0; h < shape.group; ++h) {
      Several sum;
      sum.fill(0);
      for (std::uint32_t q = from; q < given.window; ++q) sum.add(at(q, h));
      if (given.reduce == group_reduction::sum) result.add(sum);
      else result.raise_to(sum);
    }
    return result;
  }
};

/// Bytes of workspace that attention_mass needs: window x group x tokens floats a block, or x 256 where lse is given.
inline std::size_t attention_mass_bytes(cache_shape const& shape, observation_window const& window, std::uint32_t group_threads = 1) {
  return shape.layer_rows() * detail::mass_scratch::carve(nullptr, shape, window, group_threads).bytes;
}

/// The attention mass that the last `window` queries of a prompt give each of its keys, causal, the window's own included:
///
///   mass[j] = sum over the window's queries i >= j of softmax_i(q_i . k / sqrt(head_dim))[j], reduced over the group
///   mass [sequences, kv_heads, pitch]
///
/// What compress takes as masses.window, for engines whose attention does not tell. K is read once; nothing of size
/// tokens x tokens is made. Sums go in the order of the queries: the same bits for any number of threads; the mass of
/// the column that step feeds, to rounding (a compiler may fuse one and not the other). One launch, no allocation, capturable.
/// workspace: attention_mass_bytes(shape, given, group_threads) bytes on a 64-byte boundary.
template <executor Executor>
void attention_mass(Executor const& on, cache_shape const& shape, observation_window const& given, float* mass, std::size_t pitch,
                    std::byte* workspace, std::size_t workspace_bytes, std::uint32_t group_threads = 1) {
  check(shape);
  require(given.window >= 1 && given.window <= given.tokens, "window", given.window, "give 1 to as many queries as there are tokens");
  require(pitch >= given.tokens, "pitch", pitch, "give rows at least as long as the prompt");
  std::size_t const needed = attention_mass_bytes(shape, given, group_threads);
  require(workspace_bytes >= needed, "workspace_bytes", workspace_bytes, "give what attention_mass_bytes says");
  on.launch(shape.layer_rows(), attention_mass_task{shape, given, mass, pitch, workspace, needed / shape.layer_rows(), group_threads});
}

}  // namespace kvsift
