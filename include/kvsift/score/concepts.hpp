#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/cache/row.hpp>
#include <kvsift/column/column_set.hpp>

namespace kvsift {

/// How much a slot is worth; the lowest goes first. A pure function of the columns named in columns(), of the slot's
/// position and of the row's context, called once per slot in a loop that should vectorise.
template <class S>
concept score_source = requires(S const& score) { score.columns(); } &&
    requires(S const& score, narrowed_row<columns_of<S>, columns_of<S>> const& row, std::uint32_t slot) {
  { score(row, slot) } -> std::convertible_to<float>;
};

}  // namespace kvsift
