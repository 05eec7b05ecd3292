#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// DuoAttention (arXiv 2410.10819): which heads retrieve. gates [layers, kv_heads], as trained; clipped to 0 .. 1. A head
/// retrieves if its gate is at least the `sparsity` quantile of all, interpolated linearly; sparsity 0 or less: every head,
/// 1 or more: none. Gates alike fall on the same side (the original breaks such ties at random).
inline std::vector<bool> retrieval_heads(std::vector<double> gates, double sparsity) {
  require(!gates.empty(), "gates", 0, "give one for each KV head of each layer");
  for (double& g : gates) g = std::min(std::max(g, 0.0), 1.0);
  std::vector<double> sorted = gates;
  std::sort(sorted.begin(), sorted.end());
  double const place = std::min(std::max(sparsity, 0.0), 1.0) * static_cast<double>(sorted.size() - 1);
  auto const below = static_cast<std::size_t>(place);
  double const above = below + 1 < sorted.size() ? sorted[below + 1] : sorted[below];
  double const quantile = sorted[below] + (above - sorted[below]) * (place - static_cast<double>(below));
  double const threshold = sparsity >= 1 ? 2 : sparsity <= 0 ? -1 : quantile;
  std::vector<bool> retrieves;
  for (double const g : gates) retrieves.push_back(g >= threshold);
  return retrieves;
}

/// Slots by head for head_budgets: retrieval heads keep everything, the others `sinks` + `recent`, under the rule of
/// streaming_llm.
inline std::vector<std::uint32_t> duo_attention_slots(std::vector<bool> const& retrieves, std::uint32_t sinks, std::uint32_t recent) {
  std::vector<std::uint32_t> slots;
  for (bool const all : retrieves) slots.push_back(all ? no_limit : sinks + recent);
  return slots;
}

}  // namespace kvsift
