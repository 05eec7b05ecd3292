#pragma once

#include <algorithm>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/apportion.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// Budgets that fall from layer to layer on a straight line, PyramidKV (arXiv 2406.02069): with b = slots - window,
///
///   lo = floor(b / beta), hi = 2 b - lo, or hi = longest - window, lo = 2 b - hi where that is less
///   layer l: window + hi - l (hi - lo) / (layers - 1), by largest remainders: the layers sum to layers x slots
///
/// `published`: the step is a whole number, rounded down, as in the original, whose layers sum to more.
struct pyramid_budget {
  std::uint32_t slots = 0;    ///< the mean of the layers
  std::uint32_t window = 0;   ///< that every layer keeps anyway
  std::uint32_t beta = 20;    ///< how steep
  std::uint32_t longest = 0;  ///< tokens of the longest prompt, beyond which a budget is of no use; 0: no bound
  profile rounding = profile::exact;

  /// Throws bad_argument for a window that fills the budget, or a beta of 0.
  std::uint32_t limit(cache_shape const& shape, std::uint32_t layer, std::uint32_t /*head*/) const {
    return by_layer(shape.layers).at(layer);
  }
  /// The budgets of all layers.
  std::vector<std::uint32_t> by_layer(std::uint32_t layers) const {
    require(window < slots, "window", window, "must leave room below the budget; give a shorter window");
    require(beta >= 1, "beta", beta, "give at least 1");
    std::int64_t const b = slots - window;
    std::int64_t const past = longest == 0 ? 2 * b : std::max<std::int64_t>(b, std::int64_t{longest} - window);
    std::int64_t low = b / beta, high = 2 * b - low;
    if (high >= past) {
      high = past;
      low = 2 * b - high;
    }
    if (rounding == profile::published) {
      std::int64_t const step = layers > 1 ? (high - low) / (layers - 1) : 0;
      std::vector<std::uint32_t> falling;
      for (std::uint32_t l = 0; l < layers; ++l)
        falling.push_back(static_cast<std::uint32_t>(layers > 1 ? high - l * step + window : slots));
      return falling;
    }
    std::vector<double> line;
    for (std::uint32_t l = 0; l < layers; ++l)
      line.push_back(layers > 1 ? static_cast<double>(high) - static_cast<double>(l) * static_cast<double>(high - low) / (layers - 1)
                                : static_cast<double>(b));
    std::vector<std::uint32_t> exact = largest_remainders(line, static_cast<std::uint64_t>(b) * layers);
    for (std::uint32_t& s : exact) s += window;
    return exact;
  }
  friend constexpr bool operator==(pyramid_budget const&, pyramid_budget const&) = default;
};

}  // namespace kvsift
