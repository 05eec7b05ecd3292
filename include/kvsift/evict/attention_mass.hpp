#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/attention.hpp>
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
  float* queries = nullptr;  ///< [window x group, head_dim], scaled
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
    s.queries = memory.take<float>(heads * shape.head_dim);
    s.logits = memory.take<float>(heads * s.pitch);
    s.partial = memory.take<float>(lane_count);
    s.words = memory.take<std::uint32_t>(std::size_t{2} * threads);
    s.bytes = memory.bytes;
    return s;
  }
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
    float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (std::uint32_t h = g.thread_rank(); h < heads; h += g.num_threads()) {
      float const* const q = given.queries + of_query(sequence, head, h) * dim;
      for (std::uint32_t d = 0; d < dim; ++d) scratch.queries[std::size_t{h} * dim + d] = q[d] * scale;
    }
    g.sync();
    float* const out = mass + block * pitch;
    bool const whole = given.lse == nullptr;
    std::uint32_t const tile = whole ? given.tokens : detail::mass_tile;
    for (std::uint32_t first = 0; first < given.tokens; first += tile) {
      std::uint32_t const n = given.tokens - first < tile ? given.tokens - first : tile;
      auto* const keys = reinterpret_cast<std::byte*>(const_cast<float*>(first_key + first * stride));
      logits_of<plain<float>>(g, scratch.queries, heads, dim, vectors{keys, stride * sizeof(float)}, n, scratch.logits, scratch.pitch);
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
      for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) out[first + i] = reduced(scratch, first, i);
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

  /// The mass of key first + i: queries in order; the mean reduces the group before it sums, as attention's evidence does.
  KVSIFT_HOST_DEVICE float reduced(detail::mass_scratch const& scratch, std::uint32_t first, std::uint32_t i) const {
    std::uint32_t const past = given.tokens - given.window;
    std::uint32_t const from = first + i > past ? first + i - past : 0;  // earlier queries do not see it
    auto const at = [&](std::uint32_t query, std::uint32_t h) {
      return scratch.logits[(std::size_t{query} * shape.group + h) * scratch.pitch + i];
    };
    float result = 0;
    if (given.reduce == group_reduction::mean) {
      for (std::uint32_t q = from; q < given.window; ++q) {
        float sum = at(q, 0);
        for (std::uint32_t h = 1; h < shape.group; ++h) sum += at(q, h);
        result += sum / static_cast<float>(shape.group);
      }
      return result;
    }
    for (std::uint32_t h = 0; h < shape.group; ++h) {
      float sum = 0;
      for (std::uint32_t q = from; q < given.window; ++q) sum += at(q, h);
      bool const larger = h == 0 || sum > result;
      result = given.reduce == group_reduction::sum ? result + sum : larger ? sum : result;
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
