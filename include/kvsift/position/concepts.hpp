#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <kvsift/core/key_reading.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// What append is given: keys with their positional encoding applied, or without.
enum class keys_are : std::uint32_t { encoded, unrotated };

/// Where the survivors of an eviction stand.
///   keys                   which keys append is given: part of the cache's type
///   ranked                 whether slots carry their rank (4 bytes a slot)
///   next(seen, held)       the number that the model's own embedding or rotation uses for the next token
///   table(shape, slots)    the rotation's cosines and sines that it works with, empty if there is none; built at plan time
///   reading(table)         what attention does with keys as they are stored
template <class P>
concept position_rule = requires(P const& rule, cache_shape const& shape, std::uint32_t n) {
  { P::keys } -> std::convertible_to<keys_are>;
  { P::ranked } -> std::convertible_to<bool>;
  { rule.next(n, n) } -> std::convertible_to<std::uint32_t>;
  { rule.table(shape, n) } -> std::convertible_to<rotary_table>;
  { rule.reading(rotary_view{}) } -> std::convertible_to<key_reading>;
};

/// One that changes what is stored when tokens go, such as learned_align: told at plan time how many slots a head can hold once it is
/// cut, given rows x block_bytes of memory, and asked after each cut: realign(on, cache, first_layer, layers, memory), of the rows of
/// cache.who in those layers (cache.row_of(first_layer, block)); memory is [rows of the cache, block_bytes].
template <class P>
concept realigning_rule = position_rule<P> && requires(P const& rule, cache_shape const& shape, std::uint32_t n) {
  rule.check(n);
  { rule.block_bytes(shape) } -> std::convertible_to<std::size_t>;
};

/// One of them that brings what a prompt leaves to its places as it is written: P::settles. Others are given prompts token by token.
template <class P>
concept settling_rule = realigning_rule<P> && P::settles;

/// One that needs what stays to be the first positions and the newest.
template <class P>
concept windowed_rule = position_rule<P> && P::windowed;

}  // namespace kvsift
