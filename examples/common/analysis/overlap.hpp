#pragma once
// How well what a head keeps agrees with what a full cache would look at next.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace programs {

struct agreement {
  double overlap = 0;    // share of the kept positions that are among the most attended, as many as are kept
  double recovered = 0;  // share of the attention that goes to the kept positions
  agreement& operator+=(agreement const& more) {
    overlap += more.overlap;
    recovered += more.recovered;
    return *this;
  }
  agreement& operator/=(double count) {
    overlap /= count;
    recovered /= count;
    return *this;
  }
};

// attention: of the next query to every token before it [tokens], of a full cache; kept: some of these positions. Of
// equal attention the lower position is the more attended. Nothing kept, nothing agrees.
inline agreement agreement_of(std::span<float const> attention, std::span<std::uint32_t const> kept) {
  std::size_t const most = std::min(kept.size(), attention.size());
  if (most == 0) return {};
  std::vector<std::size_t> order(attention.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most), order.end(),
      [&](std::size_t i, std::size_t j) { return attention[i] != attention[j] ? attention[i] > attention[j] : i < j; });
  std::vector<bool> top(attention.size(), false);
  for (std::size_t r = 0; r < most; ++r) top[order[r]] = true;
  double all = 0, mass = 0;
  std::size_t both = 0;
  for (float const a : attention) all += static_cast<double>(a);
  for (std::uint32_t const p : kept) {
    if (p >= attention.size()) continue;
    both += top[p] ? 1u : 0u;
    mass += static_cast<double>(attention[p]);
  }
  return {static_cast<double>(both) / static_cast<double>(most), all > 0 ? mass / all : 0};
}

}  // namespace programs
