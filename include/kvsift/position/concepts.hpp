#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/core/rotary.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// What append is given: keys with their positional encoding applied, or without.
enum class keys_are : std::uint32_t { encoded, unrotated };

/// Where the survivors of an eviction stand.
///   keys                   which keys append is given: part of the cache's type
///   ranked                 whether slots carry their rank (4 bytes a slot)
///   next(seen, held)       the number that the model's own embedding or rotation uses for the next token
///   table(shape, slots)    the rotation applied on reading, empty if there is none; built at plan time
template <class P>
concept position_rule = requires(P const& rule, cache_shape const& shape, std::uint32_t n) {
  { P::keys } -> std::convertible_to<keys_are>;
  { P::ranked } -> std::convertible_to<bool>;
  { rule.next(n, n) } -> std::convertible_to<std::uint32_t>;
  { rule.table(shape, n) } -> std::convertible_to<rotary_table>;
};

}  // namespace kvsift
