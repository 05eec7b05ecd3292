#pragma once

#include <concepts>
#include <cstdint>

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

/// A budget whose split among the heads of a layer is measured after a prompt that does not fit: measured() gives the
/// trivially copyable part that a task runs, or nothing where a part chosen at run time is static. It has
/// `least` and `most` for the plan, and `allocate(group, scores, records, words)`, which sets records[head].limit so that
/// their sum stays.
template <class B>
concept may_be_measured = budget_allocator<B> && requires(B const& budget) { budget.measured(); };

namespace detail {

/// Calls f with the measured part of a budget, if it has one.
template <class Budget, class F>
constexpr void with_measured(Budget const& budget, F const& f) {
  if constexpr (may_be_measured<Budget>) {
    auto const part = budget.measured();
    if (part) f(*part);
  }
}

template <class Budget>
constexpr bool is_measured(Budget const& budget) {
  bool found = false;
  with_measured(budget, [&](auto const&) { found = true; });
  return found;
}

}  // namespace detail

}  // namespace kvsift
