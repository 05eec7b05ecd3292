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

namespace detail {

template <class G, class Columns>
struct column_mover {
  G const& g;
  row_view<Columns> const& from_row;
  row_view<Columns> const& to_row;
  std::uint32_t from;
  std::uint32_t to;

  template <class C>
  KVSIFT_HOST_DEVICE void operator()(C const& column, std::size_t) const {
    std::uint32_t const width = column.width();
    auto const* const source = from_row.template column<C>() + std::size_t{from} * width;
    auto* const target = to_row.template column<C>() + std::size_t{to} * width;
    for (std::uint32_t i = g.thread_rank(); i < width; i += g.num_threads()) target[i] = source[i];
  }
};

}  // namespace detail

/// Moves a slot's columns from one row to another (or within one).
template <cooperative_group G, class Columns>
KVSIFT_HOST_DEVICE void move_columns(G const& g, Columns const& stored, row_view<Columns> const& from_row,
                                     std::uint32_t from, row_view<Columns> const& to_row, std::uint32_t to) {
  stored.for_each(detail::column_mover<G, Columns>{g, from_row, to_row, from, to});
}

/// Moves everything that belongs to slot `from` into slot `to` of the same row. Bytes: one slot read and written.
template <cooperative_group G, class Columns>
KVSIFT_HOST_DEVICE void move_slot(G const& g, cache_view<Columns> const& cache, row_view<Columns> const& row,
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
template <cooperative_group G, class Columns>
KVSIFT_HOST_DEVICE void remove_slot(G const& g, cache_view<Columns> const& cache, row_view<Columns> const& row,
                                    std::uint32_t victim) {
  std::uint32_t const last = row.state->held - 1;
  if (row.ranks != nullptr) {
    std::uint32_t const rank = row.ranks[victim];
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i <= last; i += g.num_threads()) row.ranks[i] -= row.ranks[i] > rank ? 1u : 0u;
  }
  g.sync();
  if (cache.order == layout::dense) {
    for (std::uint32_t slot = victim; slot < last; ++slot) move_slot(g, cache, row, slot + 1, slot);
  } else if (victim != last) {
    move_slot(g, cache, row, last, victim);
  }
  if (g.thread_rank() == 0) row.state->held = last;
  g.sync();
}

}  // namespace kvsift
