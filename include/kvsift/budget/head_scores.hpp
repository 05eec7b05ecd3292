#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/apportion.hpp>
#include <kvsift/core/check.hpp>

// Budgets by head from how important each head was found to be, measured once for a model. Host arithmetic before a plan;
// the results are what head_budgets takes. They sum to layers x kv_heads x slots, whatever the scores.
namespace kvsift {

/// What the budgets from head scores have in common.
struct head_share {
  std::uint32_t slots = 0;    ///< the mean of all heads
  std::uint32_t window = 0;   ///< that every head keeps anyway
  std::uint32_t longest = 0;  ///< tokens of the longest prompt: what a head could not use goes to the others; 0: no bound
};

namespace detail {

inline void check_share(head_share const& s) {
  require(s.window < s.slots, "window", s.window, "must leave room below the budget; give a shorter window");
}
inline std::uint32_t most_of(head_share const& s) { return s.longest == 0 ? 0x7ffffffeu : std::max(s.slots, s.longest) - s.window; }
inline std::vector<std::uint32_t> above(std::uint32_t window, std::vector<std::uint32_t> slots) {
  for (std::uint32_t& s : slots) s += window;
  return slots;
}
/// Each weight's part of their sum, which is taken in order.
inline std::vector<double> normalised(std::vector<double> weights) {
  double sum = 0;
  for (double const w : weights) sum += w;
  require(sum > 0, "sum of the head scores", sum, "some head needs a score above 0");
  for (double& w : weights) w /= sum;
  return weights;
}

}  // namespace detail

/// HeadKV (arXiv 2410.19258). scores [layers, query_heads], not negative: every head keeps b - pool and the pools of all
/// heads are split by score, where b = slots - window, pool = floor(b / beta). A larger beta makes heads more alike.
/// The score of a KV head is the sum over its group. `published`: query heads are rounded to the nearest, halves to even, and
/// a KV head has the mean of its group, rounded again; the original stores every query head (group 1).
inline std::vector<std::uint32_t> headkv_slots(cache_shape const& shape, std::vector<double> const& scores, head_share const& share,
                                               double beta = 1.5, double temperature = 1, profile rounding = profile::exact) {
  detail::check_share(share);
  require(scores.size() == std::size_t{shape.layers} * shape.query_heads(), "head scores", scores.size(),
          "give one for each query head of each layer");
  require(beta >= 1, "beta", beta, "give at least 1");
  for (double const s : scores) require(s >= 0 && std::isfinite(s), "head score", s, "give finite scores that are not negative");
  std::vector<double> x = detail::normalised(scores);
  if (temperature != 1) {
    for (double& s : x) s = std::pow(s, temperature);
    x = detail::normalised(x);
  }
  double const b = share.slots - share.window, pool = std::floor(b / beta);
  std::vector<double> of_kv_head(x.size() / shape.group, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) of_kv_head[i / shape.group] += x[i];
  if (rounding == profile::exact)
    return detail::above(share.window,
                         apportion(of_kv_head, static_cast<std::uint64_t>(b) * of_kv_head.size(), b - pool, detail::most_of(share)));
  for (double& s : x) s = std::nearbyint(s * pool * static_cast<double>(x.size()) + (b - pool));
  std::vector<std::uint32_t> slots;
  for (std::size_t i = 0; i < x.size(); i += shape.group) {
    double sum = 0;
    for (std::size_t q = i; q < i + shape.group; ++q) sum += x[q];
    slots.push_back(static_cast<std::uint32_t>(std::nearbyint(sum / shape.group)));
  }
  return detail::above(share.window, slots);
}

/// CoKV (arXiv 2502.17501). values [layers, kv_heads]: Sliced Shapley values, of any sign. The `border`-th smallest and all
/// below it leave their head the window alone; the others share by how far they lie above it.
/// `published`: fractions are cut off, so that the sum falls short.
inline std::vector<std::uint32_t> cokv_slots(cache_shape const& shape, std::vector<double> const& values, head_share const& share,
                                             std::uint32_t border = 20, profile rounding = profile::exact) {
  detail::check_share(share);
  require(share.window >= 1, "window", share.window, "a head without value keeps its window alone; give at least 1");
  require(values.size() == std::size_t{shape.layers} * shape.kv_heads, "head values", values.size(),
          "give one for each KV head of each layer");
  require(border >= 1 && border < values.size(), "border", border, "give the rank of a head among all of them, from 1");
  for (double const v : values) require(std::isfinite(v), "head value", v, "give finite values");
  std::vector<double> sorted = values;
  std::nth_element(sorted.begin(), sorted.begin() + (border - 1), sorted.end());
  double const least = sorted[border - 1];
  std::vector<double> x;
  double sum = 0;
  for (double const v : values) {
    x.push_back(std::max(v - least, 0.0));
    sum += x.back();
  }
  std::uint64_t const total = std::uint64_t{share.slots - share.window} * values.size();
  if (rounding == profile::exact) return detail::above(share.window, apportion(x, total, 0, detail::most_of(share)));
  require(sum > 0, "sum of the values above the border", sum, "some head needs a value above it; give a lower border");
  std::vector<std::uint32_t> slots;
  for (double const v : x) slots.push_back(static_cast<std::uint32_t>(v / sum * static_cast<double>(total)));
  return detail::above(share.window, slots);
}

}  // namespace kvsift
