#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/collective/product.hpp>
#include <kvsift/collective/softmax.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

namespace detail {

/// Where a component of a vector turns: with which partner, and how far a position.
struct turning_pairs {
  rotary_encoding encoding;
  std::uint32_t dim, positions;

  KVSIFT_HOST_DEVICE std::uint32_t count() const { return encoding.turning(dim) / 2; }
  KVSIFT_HOST_DEVICE std::uint32_t first(std::uint32_t i) const { return encoding.pairs == pairing::half_split ? i : 2 * i; }
  KVSIFT_HOST_DEVICE std::uint32_t second(std::uint32_t i) const { return encoding.pairs == pairing::half_split ? i + count() : 2 * i + 1; }
  KVSIFT_HOST_DEVICE double turn(std::uint32_t i) const { return frequency(encoding, dim, positions, i); }
};

/// What expected_mass works in. With a null base it only says how much.
struct expectation {
  static constexpr std::uint32_t tokens = 16;  ///< queries whose products are added up together
  static constexpr std::uint32_t tile = 64;    ///< keys at a time

  double* steps;       ///< [dim], cosine and sine of each pair's turn from one position to the next
  double* angles;      ///< [dim], of its angle at the token in hand
  double* mean;        ///< [dim], of the queries
  float* future;       ///< [dim], cosine and sine of each pair, averaged over the positions to come
  float* centred;      ///< [tokens, pitch]
  float* covariance;   ///< [dim, pitch]
  float* packed;       ///< the rows of the covariance turned to the future, packed
  float* products;     ///< [dim, tile], of those with keys
  float* logits;       ///< [slots]
  float* masses;       ///< [slots], summed over the group
  float* partial;      ///< [8]
  std::uint32_t* words;
  std::size_t pitch;   ///< dim rounded up to eight

  static constexpr score_words words_needed() {
    return {.components = 6 + 1 + tokens + 8 + product_rows + tile, .squares = 2, .slots = 2, .fixed = 8 * tokens + 8 + 2 * 8 + 16};
  }
  KVSIFT_HOST_DEVICE expectation(std::uint32_t* memory, std::uint32_t threads, std::size_t dim, std::size_t slots)
      : words(memory), pitch((dim + 7) / 8 * 8) {
    steps = reinterpret_cast<double*>(memory + 2 * threads);
    angles = steps + dim;
    mean = angles + dim;
    future = reinterpret_cast<float*>(mean + dim);
    centred = future + dim;
    covariance = centred + tokens * pitch;
    packed = covariance + dim * pitch;
    products = packed + packed_floats(dim, dim);
    logits = products + dim * tile;
    masses = logits + (slots + 7) / 8 * 8;
    partial = masses + (slots + 7) / 8 * 8;
  }
};

template <class Row>
struct mass_times_value {
  Row const& row;
  float const* masses;  ///< of slots sinks .. held - 1
  float share, epsilon;
  std::uint32_t sinks;

  KVSIFT_HOST_DEVICE float operator()(std::uint32_t slot) const {
    if (slot < sinks) return 3e38f;
    float const* const value = row.prompt_value(slot);
    float squares = 0;
    for (std::uint32_t d = 0; d < row.token.head_dim; ++d) squares += value[d] * value[d];
    return (masses[slot - sinks] * share + epsilon) * std::sqrt(squares);
  }
};

}  // namespace detail

/// The attention that a slot can expect of queries to come, times the length of its value; the lowest goes first. Queries to
/// come are taken as normal, with mean m and covariance S of the prompt's queries before their rotation, and R as the rotation
/// averaged over the next `future` positions. Expected Attention (arXiv 2510.00636).
///
///   e_j = softmax over j of  k_j . R m / sqrt(D) + k_j' R S R' k_j / (2 D),   score_j = (mean of e_j over the group + epsilon) |v_j|
///
/// The first `sinks` tokens count neither as queries nor as keys, and go last. `encoding` is the model's. Legal at prompt_end
/// only, over keys and queries that are encoded (original_positions), and with the prompt's queries at hand: compress is given
/// them as masses.queries. Per query head: tokens x D^2 multiplications for S, as many for its products with the keys (without
/// `covariance` neither); queries are read twice, keys twice, a tile of 64 at a time. Sums in a fixed order: the same bits for any number of threads.
struct expected_mass {
  rotary_encoding encoding{};
  std::uint32_t future = 512;
  std::uint32_t sinks = 4;
  float epsilon = 0;
  bool covariance = true;

  static constexpr bool reads_prompt_keys = true, reads_prompt_queries = true;
  static constexpr score_words words = detail::expectation::words_needed();
  static constexpr auto columns() { return column_set<>{}; }

  template <cooperative_group G, class Use>
  KVSIFT_HOST_DEVICE void prepare(G const& g, auto const& row, std::uint32_t* memory, Use const& use) const {
    std::uint32_t const dim = row.token.head_dim, held = row.about.held, first = sinks < held ? sinks : 0, count = held - first;
    detail::expectation const work(memory, g.num_threads(), dim, held);
    detail::turning_pairs const pairs{encoding, dim, row.about.next};
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i < pairs.count(); i += g.num_threads()) {
      double const turn = pairs.turn(i);
      work.steps[2 * i] = std::cos(turn);
      work.steps[2 * i + 1] = std::sin(turn);
      // The mean of e^(i turn p) over p = next .. next + future - 1 is that of its middle, shortened.
      double const half = turn / 2, shortened = std::sin(half) != 0 ? std::sin(half * future) / (future * std::sin(half)) : 1;
      double const middle = turn * (row.about.next + (future - 1) / 2.0);
      work.future[2 * i] = static_cast<float>(shortened * std::cos(middle));
      work.future[2 * i + 1] = static_cast<float>(shortened * std::sin(middle));
    }
    for (std::uint32_t j = g.thread_rank(); j < count; j += g.num_threads()) work.masses[j] = 0;
    for (std::uint32_t h = 0; h < row.token.group; ++h) {
      measure(g, row, work, pairs, first, count, h);
      turn_to_future(g, work, pairs, 1.0f / static_cast<float>(count));
      std::size_t const stride = row.row->keys.stride / sizeof(float);
      for (std::uint32_t begin = 0; begin < count; begin += detail::expectation::tile) {
        std::uint32_t const n = count - begin < detail::expectation::tile ? count - begin : detail::expectation::tile;
        if (covariance)
          products_of(g, work.packed, dim, dim, row.prompt_key(first + begin), stride, n, work.products, detail::expectation::tile);
        g.sync();
        for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads())
          work.logits[begin + j] = logit(work, row.prompt_key(first + begin + j), j, dim);
        g.sync();
      }
      softmax(g, work.logits, count, work.partial, work.words);
      for (std::uint32_t j = g.thread_rank(); j < count; j += g.num_threads()) work.masses[j] += work.logits[j];
      g.sync();
    }
    use(detail::mass_times_value<std::remove_cvref_t<decltype(row)>>{row, work.masses, 1.0f / static_cast<float>(row.token.group), epsilon,
                                                                     first});
    g.sync();
  }
  friend constexpr bool operator==(expected_mass const&, expected_mass const&) = default;

 private:
  /// The angles of a thread's pairs stand at the token in this slot.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void start(G const& g, auto const& row, detail::expectation const& work, detail::turning_pairs const& pairs,
                                std::uint32_t slot) const {
    for (std::uint32_t i = g.thread_rank(); i < pairs.count(); i += g.num_threads()) {
      double const angle = pairs.turn(i) * row.positions[slot];
      work.angles[2 * i] = std::cos(angle);
      work.angles[2 * i + 1] = std::sin(angle);
    }
  }
  /// f(d, component d of the query before its rotation) for the thread's own components; its pairs go on to the next token.
  template <cooperative_group G, class F>
  KVSIFT_HOST_DEVICE void each_component(G const& g, detail::expectation const& work, detail::turning_pairs const& pairs,
                                         float const* query, F const& f) const {
    for (std::uint32_t i = g.thread_rank(); i < pairs.count(); i += g.num_threads()) {
      double const c = work.angles[2 * i], s = work.angles[2 * i + 1], step_c = work.steps[2 * i], step_s = work.steps[2 * i + 1];
      double const a = static_cast<double>(query[pairs.first(i)]), b = static_cast<double>(query[pairs.second(i)]);
      f(pairs.first(i), a * c + b * s);
      f(pairs.second(i), b * c - a * s);
      work.angles[2 * i] = c * step_c - s * step_s;
      work.angles[2 * i + 1] = s * step_c + c * step_s;
    }
    for (std::uint32_t d = 2 * pairs.count() + g.thread_rank(); d < pairs.dim; d += g.num_threads()) f(d, static_cast<double>(query[d]));
  }

  /// Mean and sums of products of the queries before their rotation. A component belongs to one thread, with its partner.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void measure(G const& g, auto const& row, detail::expectation const& work, detail::turning_pairs const& pairs,
                                  std::uint32_t first, std::uint32_t count, std::uint32_t h) const {
    std::uint32_t const dim = row.token.head_dim;
    for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) work.mean[d] = 0;
    g.sync();
    start(g, row, work, pairs, first);
    for (std::uint32_t t = 0; t < count; ++t)
      each_component(g, work, pairs, row.prompt_query(first + t, h), [&](std::uint32_t d, double x) { work.mean[d] += x; });
    g.sync();
    for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) work.mean[d] /= count;
    g.sync();
    if (!covariance) return;
    for (std::size_t i = g.thread_rank(); i < dim * work.pitch; i += g.num_threads()) work.covariance[i] = 0;
    for (std::size_t i = g.thread_rank(); i < detail::expectation::tokens * work.pitch; i += g.num_threads()) work.centred[i] = 0;
    start(g, row, work, pairs, first);
    for (std::uint32_t begin = 0; begin < count; begin += detail::expectation::tokens) {
      std::uint32_t const n = count - begin < detail::expectation::tokens ? count - begin : detail::expectation::tokens;
      g.sync();
      for (std::uint32_t t = 0; t < n; ++t)
        each_component(g, work, pairs, row.prompt_query(first + begin + t, h), [&](std::uint32_t d, double x) {
          work.centred[t * work.pitch + d] = static_cast<float>(x - work.mean[d]);
        });
      g.sync();
      for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads())
        for (std::size_t e = 0; e < work.pitch; e += lane_count) {
          lanes sum, factor, others;
          sum.load(work.covariance + d * work.pitch + e);
          for (std::uint32_t t = 0; t < n; ++t) {
            factor.fill(work.centred[t * work.pitch + d]);
            others.load(work.centred + t * work.pitch + e);
            sum.add_product(factor, others);
          }
          sum.store(work.covariance + d * work.pitch + e);
        }
    }
    g.sync();
  }

  /// Mean and covariance turn to the future; the covariance's rows are packed, times `share`.
  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void turn_to_future(G const& g, detail::expectation const& work, detail::turning_pairs const& pairs,
                                         float share) const {
    std::uint32_t const dim = pairs.dim;
    auto const turn = [&](std::uint32_t i, auto& a, auto& b) {
      double const c = work.future[2 * i], s = work.future[2 * i + 1], x = a, y = b;
      a = static_cast<std::remove_cvref_t<decltype(a)>>(x * c - y * s);
      b = static_cast<std::remove_cvref_t<decltype(b)>>(y * c + x * s);
    };
    for (std::uint32_t i = g.thread_rank(); i < pairs.count(); i += g.num_threads())
      turn(i, work.mean[pairs.first(i)], work.mean[pairs.second(i)]);
    if (covariance) {
      for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) {
        float* const own = work.covariance + d * work.pitch;
        for (std::uint32_t i = 0; i < pairs.count(); ++i) turn(i, own[pairs.first(i)], own[pairs.second(i)]);
      }
      g.sync();
      for (std::uint32_t i = g.thread_rank(); i < pairs.count(); i += g.num_threads()) {
        float* const a = work.covariance + pairs.first(i) * work.pitch;
        float* const b = work.covariance + pairs.second(i) * work.pitch;
        for (std::uint32_t d = 0; d < dim; ++d) turn(i, a[d], b[d]);
      }
      g.sync();
      for (std::size_t i = g.thread_rank(); i < packed_floats(dim, 1); i += g.num_threads())
        for (std::uint32_t d = 0; d < dim; ++d)
          work.packed[packed_place(i, d, dim)] = i < dim ? work.covariance[i * work.pitch + d] * share : 0.0f;
    }
    g.sync();
  }

  KVSIFT_HOST_DEVICE float logit(detail::expectation const& work, float const* key, std::uint32_t j, std::uint32_t dim) const {
    double by_mean = 0, by_covariance = 0;
    for (std::uint32_t d = 0; d < dim; ++d) {
      by_mean += static_cast<double>(key[d]) * work.mean[d];
      if (covariance) by_covariance += static_cast<double>(key[d] * work.products[d * detail::expectation::tile + j]);
    }
    return static_cast<float>(by_mean / std::sqrt(static_cast<double>(dim)) + by_covariance / (2.0 * dim));
  }
};

}  // namespace kvsift
