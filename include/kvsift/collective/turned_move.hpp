#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Moves an encoded key to another place: to = x [dim] turned back by `places`, `to` another memory than x. Each pair of components is read
/// once, turned digit by digit and written once; neighbouring threads have neighbouring pairs. table: of rotary_table::of_digits.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void move_turned(G const& g, float const* x, std::uint32_t dim, std::uint32_t places, rotary_view const& table, float* to) {
  std::uint32_t const half = table.rotary_dim / 2;
  std::uint32_t const step = table.pairs == pairing::half_split ? 1 : 2, apart = table.pairs == pairing::half_split ? half : 1;
  for (std::uint32_t i = g.thread_rank(); i < half; i += g.num_threads()) {
    float first = x[i * step], second = x[i * step + apart];
    std::uint32_t row = 0;
    for (std::uint32_t left = places; left != 0; left /= rotary_view::digit_values, row += rotary_view::digit_values) {
      std::size_t const at = std::size_t{row + left % rotary_view::digit_values} * half + i;
      float const cosine = table.cosines[at], sine = table.sines[at], turned = first * cosine + second * sine;
      second = second * cosine - first * sine;
      first = turned;
    }
    to[i * step] = first;
    to[i * step + apart] = second;
  }
  for (std::uint32_t d = table.rotary_dim + g.thread_rank(); d < dim; d += g.num_threads()) to[d] = x[d];
}

}  // namespace kvsift
