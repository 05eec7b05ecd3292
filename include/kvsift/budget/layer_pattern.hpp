#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// Budgets that rise from layer to layer on a straight line, the `funnel` of cold-compress (turned round its `pyramid`), with its
/// rounding:
///
///   lo = slots / 14, hi = 2 slots, layer l: lo + l (hi - lo) / layers, the last one hi; each rounded down to a whole number, up to
///   a multiple of 8, and at most `longest` (0: no bound)
///   layers below floor = min(256, slots) get that much; what this takes is taken from the others in equal whole parts, none
///   coming below floor
///
/// They sum to about layers x slots, up to a twentieth more. Throws bad_argument for less than 8 slots, or where first and
/// last layer come out alike.
inline std::vector<std::uint32_t> funnel_slots(std::uint32_t layers, std::uint32_t slots, std::uint32_t longest = 0) {
  require(slots >= 8, "budget", slots, "give a funnel at least 8 slots");
  require(longest == 0 || slots <= longest, "budget", slots, "exceeds the longest sequence; give less");
  double const low = static_cast<double>(slots) / 14, high = 2 * static_cast<double>(slots), step = (high - low) / layers;
  std::vector<std::uint32_t> rising;
  for (std::uint32_t l = 0; l < layers; ++l) {
    double const line = l + 1 == layers ? high : low + step * l;
    std::uint64_t const rounded = (static_cast<std::uint64_t>(line) + 7) / 8 * 8;
    rising.push_back(static_cast<std::uint32_t>(longest == 0 ? rounded : std::min<std::uint64_t>(rounded, longest)));
  }
  if (layers == 1) return {slots};
  std::uint32_t const floor = std::min(256u, slots);
  std::uint64_t given = 0;
  std::uint32_t below = 0;
  for (std::uint32_t& layer : rising) {
    if (layer >= floor) continue;
    given += floor - layer;
    layer = floor;
    ++below;
  }
  std::uint64_t const part = below < layers ? given / (layers - below) : 0;
  for (std::uint32_t& layer : rising)
    if (layer > floor) layer = static_cast<std::uint32_t>(layer - std::min<std::uint64_t>(part, layer - floor));
  require(rising.front() < rising.back(), "budget", slots, "leaves the first and the last layer alike; give another or fewer layers");
  return rising;
}

}  // namespace kvsift
