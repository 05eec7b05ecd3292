#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/reduce.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <reference_model/model/blocks.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/matrix.hpp>

// What a transformer launches between the matrices: tasks over blocks, one a token or a part of one. They hold pointers and numbers, and
// read what changes from step to step, tokens and positions, from memory: a graph that holds them stays valid.
namespace reference_model {

/// A vector of `size` numbers a token, cut into parts of at most `each`: one where a block is a thread.
struct token_parts {
  std::uint32_t size, each;

  KVSIFT_HOST_DEVICE std::uint32_t count() const { return (size + each - 1) / each; }
  KVSIFT_HOST_DEVICE std::uint32_t token(std::uint32_t block) const { return block / count(); }
  KVSIFT_HOST_DEVICE std::uint32_t first(std::uint32_t block) const { return block % count() * each; }
  KVSIFT_HOST_DEVICE std::uint32_t length(std::uint32_t block) const {
    std::uint32_t const left = size - first(block);
    return left < each ? left : each;
  }
};

/// Frequencies of an encoding for a text that ends with this piece. One block.
struct frequencies_task {
  kvsift::rotary_encoding encoding;
  std::uint32_t head_dim;
  std::uint32_t const* last;  ///< position of the piece's last token
  double* frequencies;        ///< [turning / 2]

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t) const {
    for (std::uint32_t i = g.thread_rank(); i < encoding.turning(head_dim) / 2; i += g.num_threads())
      frequencies[i] = kvsift::frequency(encoding, head_dim, *last + 1, i);
  }
};

/// x [n, dim] = the tokens' embeddings, with those of their positions if these are learned; angles of positions that turn. A block a token.
struct embed_task {
  std::uint32_t const* tokens;      ///< [n]
  std::uint32_t const* positions;   ///< [n]
  weight_view embedding;            ///< [vocab, dim]
  float const* position_embedding;  ///< [max_positions, dim], or null
  std::uint32_t dim;
  float* x;                         ///< [n, dim]
  double const* frequencies;        ///< [pairs]
  std::uint32_t pairs;              ///< 0: nothing turns
  double amplitude;
  float* cosines;                   ///< [n, pairs], as sines
  float* sines;

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t t) const {
    float* const row = x + std::size_t{t} * dim;
    with_number(embedding.as, [&]<class T>(T) {
      T const* const from = static_cast<T const*>(embedding.numbers) + std::size_t{tokens[t]} * dim;
      for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads()) row[i] = kvsift::to_float(from[i]);
    });
    if (position_embedding != nullptr) add(g, row, position_embedding + std::size_t{positions[t]} * dim, dim);
    rope_angles(g, positions[t], frequencies, pairs, amplitude, cosines + std::size_t{t} * pairs, sines + std::size_t{t} * pairs);
  }
};

/// out [n, dim] = each row of in [n, dim], normalised. A block a token.
struct norm_task {
  normalisation how;
  double eps;
  std::uint32_t dim;
  float const* in;
  float const* scale;  ///< [dim]
  float const* bias;   ///< [dim], or null
  float* out;
  double* scratch;     ///< [n, total_scratch]

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t t) const {
    float const* const from = in + std::size_t{t} * dim;
    float* const to = out + std::size_t{t} * dim;
    double* const own = scratch + std::size_t{t} * total_scratch;
    if (how == normalisation::root_mean_square) rms_norm(g, own, from, scale, dim, eps, to);
    else layer_norm(g, own, from, scale, bias, dim, eps, to);
  }
};

/// Makes queries, keys and values ready for the cache: biases, norms of heads, rotation, each where the model has it. A block takes the
/// parts.each KV heads of a token, with their query heads.
struct heads_task {
  token_parts parts;  ///< of the KV heads
  std::uint32_t group, head_dim, turning;
  kvsift::pairing pairs;
  double eps;
  float *q, *k, *v;                               ///< [n, Hq, D], [n, Hkv, D]
  float const *query_bias, *key_bias, *value_bias;  ///< [Hq D], [Hkv D], or null
  float const *query_norm, *key_norm;             ///< [D], or null
  float const *cosines, *sines;                   ///< [n, turning / 2]
  double* scratch;                                ///< [blocks, total_scratch]

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const t = parts.token(block), first = parts.first(block), count = parts.length(block);
    double* const own = scratch + std::size_t{block} * total_scratch;
    ready(g, own, t, q, parts.size * group, first * group, count * group, query_bias, query_norm, true);
    ready(g, own, t, k, parts.size, first, count, key_bias, key_norm, true);
    ready(g, own, t, v, parts.size, first, count, value_bias, nullptr, false);
  }

 private:
  /// Heads first to first + count - 1 of the `heads` that token t has in `of`.
  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void ready(G const& g, double* own, std::uint32_t t, float* of, std::uint32_t heads, std::uint32_t first, std::uint32_t count,
                                float const* bias, float const* norm, bool turns) const {
    float* const x = of + (std::size_t{t} * heads + first) * head_dim;
    if (bias != nullptr) {
      add(g, x, bias + std::size_t{first} * head_dim, std::size_t{count} * head_dim);
      g.sync();
    }
    for (std::uint32_t h = 0; norm != nullptr && h < count; ++h)
      rms_norm(g, own, x + std::size_t{h} * head_dim, norm, head_dim, eps, x + std::size_t{h} * head_dim);
    if (!turns || turning == 0) return;
    if (norm != nullptr) g.sync();
    std::size_t const angles = std::size_t{t} * (turning / 2);
    rotate(g, x, count, head_dim, turning, pairs, cosines + angles, sines + angles);
  }
};

/// x += delta + bias, what a block of the model adds to the residual stream. A block a part of a token.
struct residual_task {
  token_parts parts;  ///< of dim
  float* x;           ///< [n, dim]
  float* delta;       ///< [n, dim], overwritten
  float const* bias;  ///< [dim], or null

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const first = parts.first(block), length = parts.length(block);
    std::size_t const at = std::size_t{parts.token(block)} * parts.size + first;
    if (bias != nullptr) add(g, delta + at, bias + first, length);
    add(g, x + at, delta + at, length);
  }
};

/// What happens between the matrices of the feed-forward: biases, then the activation, in `up`. A block a part of a token.
struct activation_task {
  token_parts parts;  ///< of hidden
  activation between;
  float* gate;        ///< [n, hidden], if there is one
  float* up;          ///< [n, hidden]
  float const *gate_bias, *up_bias;  ///< [hidden], or null

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const first = parts.first(block), length = parts.length(block);
    std::size_t const at = std::size_t{parts.token(block)} * parts.size + first;
    if (gate_bias != nullptr) add(g, gate + at, gate_bias + first, length);
    if (up_bias != nullptr) add(g, up + at, up_bias + first, length);
    if (between == activation::gated_silu) swiglu(g, gate + at, up + at, length);
    else if (between == activation::gelu) gelu(g, up + at, length);
    else exact_gelu(g, up + at, length);
  }
};

/// out [size] = x [size], rounded to 16 bits. A block takes `each` numbers.
struct narrow_task {
  float const* x;
  std::size_t size;
  number as;
  void* out;
  static constexpr std::uint32_t each = 1024;

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::size_t const first = std::size_t{block} * each, end = first + each < size ? first + each : size;
    with_number(as, [&]<class T>(T) {
      for (std::size_t i = first + g.thread_rank(); i < end; i += g.num_threads()) kvsift::from_float(x[i], static_cast<T*>(out)[i]);
    });
  }
};

/// The next piece is the likeliest token, the lowest of equals, at the position after the last. One block.
struct pick_task {
  float const* logits;  ///< [vocab]
  std::uint32_t vocab;
  std::uint32_t const* last;  ///< position of the piece's last token
  std::uint32_t* tokens;      ///< [1]
  std::uint32_t* positions;   ///< [1]
  std::uint32_t* scratch;     ///< [2 x threads]

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t) const {
    std::uint64_t best = ~std::uint64_t{0};
    for (std::uint32_t i = g.thread_rank(); i < vocab; i += g.num_threads()) {
      std::uint64_t const key = (std::uint64_t{~kvsift::ordered_key(logits[i])} << 32) | i;
      best = key < best ? key : best;
    }
    best = kvsift::group_min(g, scratch, best);
    if (g.thread_rank() != 0) return;
    tokens[0] = static_cast<std::uint32_t>(best);
    positions[0] = *last + 1;
  }
};

}  // namespace reference_model
