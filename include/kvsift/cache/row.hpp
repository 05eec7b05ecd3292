#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <kvsift/cache/placement.hpp>
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
  std::uint32_t choice = 0;         ///< see head_context
  friend constexpr bool operator==(row_state const&, row_state const&) = default;
};

/// One row of the cache as a task sees it: its slots' keys, values, positions and columns. Trivially copyable.
/// Slots 0 .. held-1 are in use, in any order unless the layout keeps them sorted by position.
template <class Columns, class Placement = in_rows>
struct row_view {
  using places = typename Placement::places;

  placed_vectors<places> keys;
  placed_vectors<places> values;
  slot_values<std::uint32_t, places> positions;  ///< [capacity]
  slot_values<std::uint32_t, places> ranks;      ///< [capacity], how many held slots have a lower position; null if not kept
  void* columns[Columns::size == 0 ? 1 : Columns::size] = {};
  std::uint32_t widths[Columns::size == 0 ? 1 : Columns::size] = {};  ///< elements a slot
  row_state* state = nullptr;
  Columns const* how = nullptr;  ///< the columns themselves: their parameters and tables
  std::uint32_t layer = 0;
  std::uint32_t sequence = 0;
  std::uint32_t head = 0;

  template <class C>
  KVSIFT_HOST_DEVICE slot_elements<typename C::element, known_width<C>(), places> column() const {
    constexpr std::size_t index = Columns::template index<C>();
    return {static_cast<typename C::element*>(columns[index]), widths[index], positions.places};
  }
  /// The row as far as one of its pages goes: contiguous there.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE row_view<Columns> within(page_shift page) const {
    row_view<Columns> v;
    v.keys = {page(keys.base, keys.stride), keys.stride, {}};
    v.values = {page(values.base, values.stride), values.stride, {}};
    v.positions = positions.within(page);
    v.ranks = ranks == nullptr ? slot_values<std::uint32_t>{} : ranks.within(page);
    Columns::for_each_size([&](std::size_t c, std::size_t bytes) {
      v.columns[c] = page(columns[c], bytes * widths[c]);
      v.widths[c] = widths[c];
    });
    v.state = state;
    v.how = how;
    v.layer = layer;
    v.sequence = sequence;
    v.head = head;
    return v;
  }
  /// The row itself, where it is contiguous.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE row_view const& within(in_order) const { return *this; }
  /// The row from a slot on that begins a page: what was that slot is slot 0.
  KVSIFT_HOST_DEVICE row_view from(std::uint32_t slot) const {
    row_view v = *this;
    if constexpr (paged_places<places>) {
      v.positions.places.pages += slot / page_slots;
      v.keys.places = v.values.places = v.ranks.places = v.positions.places;
    } else {
      v.keys.base += slot * keys.stride;
      v.values.base += slot * values.stride;
      v.positions.base += slot;
      if (ranks != nullptr) v.ranks.base += slot;
      Columns::for_each_size([&](std::size_t c, std::size_t bytes) {
        v.columns[c] = static_cast<std::byte*>(columns[c]) + slot * bytes * widths[c];
      });
    }
    return v;
  }
  KVSIFT_HOST_DEVICE head_context context(std::uint32_t held) const {
    return {layer, sequence, head, held, state->limit, state->next, state->observed_from, state->fed_from, state->choice};
  }
};

/// The columns that a part of a policy, or a whole policy, declares.
template <class Part>
using columns_of = decltype(std::declval<Part const&>().columns());

/// A row as a score or a ranked scope sees it: positions, context, and the columns it declared. Reading another column
/// does not compile.
template <class Declared, class Stored, class Placement = in_rows>
struct narrowed_row {
  using places = typename Placement::places;

  slot_values<std::uint32_t const, places> positions;
  head_context about;
  row_view<Stored, Placement> const* row;
  arrival token{};  ///< that a slot is wanted for; where none arrives its head_dim alone, and at prompt_end the prompt's first queries

  /// get<C>()[slot] is the slot's element; of a column that may have several (known_width), a pointer to them.
  template <class C>
  KVSIFT_HOST_DEVICE slot_elements<typename C::element const, known_width<C>(), places> get() const {
    static_assert(Declared::template has<C>, "kvsift: a part of a policy reads a column that it did not declare in columns()");
    auto const column = row->template column<C>();
    return {column.base, column.width, column.places};
  }
  /// The column itself, as the cache has it: its parameters and tables.
  template <class C>
  KVSIFT_HOST_DEVICE C const& stored() const {
    static_assert(Declared::template has<C>, "kvsift: a part of a policy reads a column that it did not declare in columns()");
    return row->how->template get<C>();
  }
  /// The key of a slot of a prompt in flight [head_dim], as the caller gave it. At prompt_end only.
  KVSIFT_HOST_DEVICE float const* prompt_key(std::uint32_t slot) const { return reinterpret_cast<float const*>(row->keys.at(slot)); }
  /// The value of a slot of a prompt in flight [head_dim]. At prompt_end only.
  KVSIFT_HOST_DEVICE float const* prompt_value(std::uint32_t slot) const { return reinterpret_cast<float const*>(row->values.at(slot)); }
  /// Query h of the group of a slot's token [head_dim], of a prompt in flight. At prompt_end only.
  KVSIFT_HOST_DEVICE float const* prompt_query(std::uint32_t slot, std::uint32_t h) const {
    return token.queries + (slot * (row->keys.stride / sizeof(float)) * token.group + std::size_t{h} * token.head_dim);
  }
  /// Queries that saw a slot since its token arrived.
  KVSIFT_HOST_DEVICE std::uint32_t visits(std::uint32_t slot) const { return about.visits(positions[slot]); }
  /// The same as a float. Below 2^31; processors convert signed integers in one instruction, unsigned ones in ten.
  KVSIFT_HOST_DEVICE float float_visits(std::uint32_t slot) const {
    return static_cast<float>(static_cast<std::int32_t>(visits(slot)));
  }
};

}  // namespace kvsift
