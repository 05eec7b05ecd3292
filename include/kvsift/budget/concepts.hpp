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

}  // namespace kvsift
