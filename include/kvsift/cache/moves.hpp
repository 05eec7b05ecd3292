#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <kvsift/cache/row.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Copies bytes between places that do not overlap.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void copy_bytes(G const& g, void* to, void const* from, std::size_t bytes) {
  if (g.num_threads() == 1)
    std::memcpy(to, from, bytes);
  else
    for (std::size_t i = g.thread_rank(); i < bytes; i += g.num_threads())
      static_cast<std::byte*>(to)[i] = static_cast<std::byte const*>(from)[i];
}

/// Gives a row the page that `slot` lies in, if it is the first of its page: slots are taken one after another.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void take_slot(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                  std::uint32_t slot) {
  if constexpr (Placement::paged) {
    if (slot % page_slots != 0) return;
    if (g.thread_rank() == 0) {
      std::uint32_t* const page = row.positions.places.pages + slot / page_slots;
      *page = cache.pool.take(static_cast<std::uint32_t>(page - cache.pages));
    }
    g.sync();
  }
}

/// Gives back the pages of a row that held `before` slots and holds `held` now. One thread calls it, when all are done there.
template <class Columns, class Placement>
KVSIFT_HOST_DEVICE void give_back_slots(cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                        std::uint32_t before, std::uint32_t held) {
  if constexpr (Placement::paged) {
    for (std::uint64_t slot = whole(held, page_slots); slot < before; slot += page_slots)
      cache.pool.give_back(row.positions.places.pages[slot / page_slots]);
  }
}

namespace detail {

template <class G, class From, class To>
struct column_mover {
  G const& g;
  From const& from_row;
  To const& to_row;
  std::uint32_t from;
  std::uint32_t to;

  template <class C>
  KVSIFT_HOST_DEVICE void operator()(C const& column, std::size_t) const {
    std::uint32_t const width = column.width();
    if (width == 0) return;
    auto const* const source = from_row.template column<C>().at(from);
    auto* const target = to_row.template column<C>().at(to);
    for (std::uint32_t i = g.thread_rank(); i < width; i += g.num_threads()) target[i] = source[i];
  }
};

}  // namespace detail

/// Moves a slot's columns from one row to another (or within one), wherever either lies.
template <cooperative_group G, class Columns, class From, class To>
KVSIFT_HOST_DEVICE void move_columns(G const& g, Columns const& stored, From const& from_row, std::uint32_t from, To const& to_row,
                                     std::uint32_t to) {
  stored.for_each(detail::column_mover<G, From, To>{g, from_row, to_row, from, to});
}

/// Moves everything that belongs to slot `from` into slot `to` of the same row. Bytes: one slot read and written.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void move_slot(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                  std::uint32_t from, std::uint32_t to) {
  copy_bytes(g, row.keys.at(to), row.keys.at(from), cache.vector_bytes);
  copy_bytes(g, row.values.at(to), row.values.at(from), cache.vector_bytes);
  move_columns(g, cache.stored, row, from, row, to);
  if (g.thread_rank() == 0) {
    row.positions[to] = row.positions[from];
    if (row.ranks != nullptr) row.ranks[to] = row.ranks[from];
  }
  g.sync();
}

/// Takes slot `victim` out of a row and closes the hole as the layout says. Ranks above it come down by one.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void remove_slot(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                    std::uint32_t victim) {
  std::uint32_t const last = row.state->held - 1;
  if (row.ranks != nullptr) {
    std::uint32_t const rank = row.ranks[victim];
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i <= last; i += g.num_threads()) row.ranks[i] -= row.ranks[i] > rank ? 1u : 0u;
    if (cache.fell != nullptr && g.thread_rank() == 0) cache.fell[cache.shape.row(row.layer, row.sequence, row.head)] = rank + 1;
  }
  g.sync();
  if (cache.order == layout::dense) {
    for (std::uint32_t slot = victim; slot < last; ++slot) move_slot(g, cache, row, slot + 1, slot);
  } else if (victim != last) {
    move_slot(g, cache, row, last, victim);
  }
  if (g.thread_rank() == 0) {
    row.state->held = last;
    give_back_slots(cache, row, last + 1, last);
  }
  g.sync();
}

/// Takes many slots out of a row at once: those with goes[slot] != 0. Each survivor moves at most once.
///   dense  stable: survivors move up in their order; from the first victim on, every survivor moves
///   slots  hole-filling: survivors behind the new end move into the holes before it, the first into the first; as many
///          slots move as there are victims before the new end (of 10 % scattered victims, a tenth of what dense moves)
/// goes, scratch [held]; goes is used up. O(held) and the slots that move.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void compact_row(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                    std::uint32_t* goes, std::uint32_t* scratch) {
  std::uint32_t const held = row.state->held;
  g.sync();
  if (row.ranks != nullptr) {  // a rank comes down by the number of victims of lower rank
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads()) scratch[row.ranks[i]] = goes[i] != 0 ? 1 : 0;
    g.sync();
    if (g.thread_rank() == 0)
      for (std::uint32_t rank = 0, lower = 0; rank < held; ++rank) {
        lower += scratch[rank];
        scratch[rank] = lower;
      }
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads())
      if (goes[i] == 0) row.ranks[i] -= scratch[row.ranks[i]];
    g.sync();
  }
  if (g.thread_rank() == 0) {  // scratch: the moves, as pairs (from in scratch, to in goes), and how many slots stay
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < held; ++i) kept += goes[i] == 0 ? 1u : 0u;
    std::uint32_t to = 0, moves = 0;
    for (std::uint32_t i = cache.order == layout::dense ? 0 : kept; i < held; ++i) {
      if (goes[i] != 0) continue;
      if (cache.order == layout::dense) {
        if (to != i) scratch[moves] = i, goes[moves++] = to;
        ++to;
      } else {
        while (goes[to] == 0) ++to;
        scratch[moves] = i;
        goes[moves++] = to++;
      }
    }
    if (moves < held) scratch[moves] = held;
    row.state->held = kept;
  }
  g.sync();
  std::uint32_t const kept = row.state->held;
  for (std::uint32_t m = 0; m < held && scratch[m] != held; ++m) move_slot(g, cache, row, scratch[m], goes[m]);
  if (g.thread_rank() == 0) give_back_slots(cache, row, held, kept);
  g.sync();
}

}  // namespace kvsift
