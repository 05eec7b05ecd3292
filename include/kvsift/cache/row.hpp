#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <kvsift/collective/attention.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// What changes of a row from step to step. Lies beside the data, on the device too, so that a captured graph stays valid.
struct row_state {
  std::uint32_t held = 0;           ///< slots in use: 0 .. held-1
  std::uint32_t next = 0;           ///< position of the next token = tokens seen
  std::uint32_t observed_from = 0;  ///< see head_context
  std::uint32_t limit = 0;          ///< budget of this head in slots
  std::uint32_t fed_from = 0;       ///< see head_context
};

/// One row of the cache as a task sees it: its slots' keys, values, positions and columns. Trivially copyable.
/// Slots 0 .. held-1 are in use, in any order unless the layout keeps them sorted by position.
template <class Columns>
struct row_view {
  vectors keys;
  vectors values;
  std::uint32_t* positions = nullptr;  ///< [capacity]
  std::uint32_t* ranks = nullptr;      ///< [capacity], how many held slots have a lower position; null if not kept
  void* columns[Columns::size == 0 ? 1 : Columns::size] = {};
  row_state* state = nullptr;
  Columns const* how = nullptr;  ///< the columns themselves: their parameters and tables
  std::uint32_t layer = 0;
  std::uint32_t sequence = 0;
  std::uint32_t head = 0;

  template <class C>
  KVSIFT_HOST_DEVICE typename C::element* column() const {
    return static_cast<typename C::element*>(columns[Columns::template index<C>()]);
  }
  KVSIFT_HOST_DEVICE head_context context(std::uint32_t held) const {
    return {layer, sequence, head, held, state->limit, state->next, state->observed_from, state->fed_from};
  }
};

/// The columns that a part of a policy, or a whole policy, declares.
template <class Part>
using columns_of = decltype(std::declval<Part const&>().columns());

/// A row as a score or a ranked scope sees it: positions, context, and the columns it declared. Reading another column
/// does not compile.
template <class Declared, class Stored>
struct narrowed_row {
  std::uint32_t const* positions;
  head_context about;
  row_view<Stored> const* row;
  arrival token{};  ///< that a slot is wanted for; null at moments when none arrives

  template <class C>
  KVSIFT_HOST_DEVICE typename C::element const* get() const {
    static_assert(Declared::template has<C>, "kvsift: a part of a policy reads a column that it did not declare in columns()");
    return row->template column<C>();
  }
  /// The column itself, as the cache has it: its parameters and tables.
  template <class C>
  KVSIFT_HOST_DEVICE C const& stored() const {
    static_assert(Declared::template has<C>, "kvsift: a part of a policy reads a column that it did not declare in columns()");
    return row->how->template get<C>();
  }
  /// Queries that saw a slot since its token arrived.
  KVSIFT_HOST_DEVICE std::uint32_t visits(std::uint32_t slot) const { return about.visits(positions[slot]); }
  /// The same as a float. Below 2^31; processors convert signed integers in one instruction, unsigned ones in ten.
  KVSIFT_HOST_DEVICE float float_visits(std::uint32_t slot) const {
    return static_cast<float>(static_cast<std::int32_t>(visits(slot)));
  }
};

}  // namespace kvsift
