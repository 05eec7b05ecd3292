#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/collective/attention.hpp>
#include <kvsift/column/key_norm.hpp>
#include <kvsift/core/exact.hpp>
#include <kvsift/payload/plain.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

namespace detail {

/// 1 / sqrt(x), and 0 of 0: a vector without a direction resembles nothing.
KVSIFT_HOST_DEVICE inline float inverse_root(float x) { return x > 0 ? 1.0f / std::sqrt(x) : 0.0f; }

template <class Row>
struct difference_from {
  Row const& row;
  float const* anchor;  ///< [dim], of length 1
  std::uint32_t dim;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const {
    auto const* const key = reinterpret_cast<std::byte const*>(row.prompt_key(slot));
    return -(dot<plain<float>>(anchor, key, dim) * inverse_root(row.template get<key_square_norm>()[slot]));
  }
};

}  // namespace detail

/// Minus the cosine between a slot's key and the mean direction of all keys: keys that resemble the rest go first, whatever the
/// queries were. KeyDiff (arXiv 2504.15364).
///
///   anchor = sum over slots of k_i / |k_i|,  score_i = -cos(k_i, anchor)
///
/// Legal at prompt_end only, where keys are the caller's; as they are stored, encoded or not. The anchor is summed in slot order, a
/// component by one thread. Reads K twice.
struct key_difference {
  static constexpr bool reads_prompt_keys = true;
  static constexpr score_words words{.components = 3};
  static constexpr auto columns() { return column_set<key_square_norm>{}; }

  template <cooperative_group G, class Use>
  KVSIFT_HOST_DEVICE void prepare(G const& g, auto const& row, std::uint32_t* memory, Use const& use) const {
    std::uint32_t const dim = row.token.head_dim;
    double* const sums = reinterpret_cast<double*>(memory + 2 * g.num_threads());
    float* const anchor = reinterpret_cast<float*>(sums + dim);
    auto const norms = row.template get<key_square_norm>();
    g.sync();
    for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) sums[d] = 0;
    for (std::uint32_t i = 0; i < row.about.held; ++i) {
      float const* const key = row.prompt_key(i);
      float const factor = detail::inverse_root(norms[i]);
      for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) sums[d] += static_cast<double>(key[d] * factor);
    }
    g.sync();
    double length = 0;
    for (std::uint32_t d = 0; d < dim; ++d) length += rounded_product(sums[d], sums[d]);
    double const factor = length > 0 ? 1.0 / std::sqrt(length) : 0;
    for (std::uint32_t d = g.thread_rank(); d < dim; d += g.num_threads()) anchor[d] = static_cast<float>(sums[d] * factor);
    g.sync();
    use(detail::difference_from<std::remove_cvref_t<decltype(row)>>{row, anchor, dim});
    g.sync();
  }
  friend constexpr bool operator==(key_difference const&, key_difference const&) = default;
};

}  // namespace kvsift
