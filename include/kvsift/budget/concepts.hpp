#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/core/anything.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// The limit of a head that keeps everything.
inline constexpr std::uint32_t no_limit = 0xffffffffu;

/// How many slots a head may keep. Asked at plan time, before any memory is taken.
template <class B>
concept budget_allocator = requires(B const& budget, cache_shape const& shape, std::uint32_t i) {
  { budget.limit(shape, i, i) } -> std::convertible_to<std::uint32_t>;
};

/// How a budget's fractions become whole slots.
enum class profile : std::uint32_t {
  exact,      ///< by largest remainders: the promised sum
  published,  ///< rounded head by head, as the original does
};

/// A budget that is measured when a prompt ends. with_measured(f) calls f with the trivially copyable part that a task runs, or
/// not at all where a part chosen at run time is static. Of two kinds:
///   each_head = false  the heads of a layer compete for what they have together, if the prompt does not fit: `least` and `most`
///                      for the plan, and allocate(group, scores, records, words), which sets records[head].limit; their sum stays
///   each_head = true   a head measures for itself what it keeps of any prompt: columns() and measure(group, row, record, words),
///                      which sets record.limit and record.choice
template <class B>
concept may_be_measured = budget_allocator<B> && requires(B const& budget) { budget.with_measured(takes_anything{}); };

namespace detail {

/// Calls f with the measured part of a budget, if it has one.
template <class Budget, class F>
constexpr void with_measured(Budget const& budget, F const& f) {
  if constexpr (may_be_measured<Budget>) budget.with_measured(f);
}
template <class Budget>
constexpr bool heads_compete(Budget const& budget) {
  bool found = false;
  with_measured(budget, [&]<class Part>(Part const&) { found = !Part::each_head; });
  return found;
}
template <class Budget>
constexpr bool each_head_measures(Budget const& budget) {
  bool found = false;
  with_measured(budget, [&]<class Part>(Part const&) { found = Part::each_head; });
  return found;
}

}  // namespace detail

}  // namespace kvsift
