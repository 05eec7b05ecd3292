#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <kvsift/cache/row.hpp>
#include <kvsift/cache/slot_moves.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/scan.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

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

/// Gives an empty row the pages of its first `slots` slots.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void take_slots(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                   std::uint32_t slots) {
  if constexpr (Placement::paged) {
    std::uint32_t const pages = static_cast<std::uint32_t>(whole(slots, page_slots) / page_slots);
    for (std::uint32_t i = g.thread_rank(); i < pages; i += g.num_threads()) {
      std::uint32_t* const page = row.positions.places.pages + i;
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

template <class From, class To>
struct column_mover {
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
    for (std::uint32_t i = 0; i < width; ++i) target[i] = source[i];
  }
};

/// One slot of a row by one thread.
template <class Columns, class Placement>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void move_one(cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                               std::uint32_t from, std::uint32_t to) {
  using own = row_view<Columns, Placement>;
  std::memcpy(row.keys.at(to), row.keys.at(from), cache.vector_bytes);
  std::memcpy(row.values.at(to), row.values.at(from), cache.vector_bytes);
  cache.stored.for_each(column_mover<own, own>{row, row, from, to});
  row.positions[to] = row.positions[from];
  if (row.ranks != nullptr) row.ranks[to] = row.ranks[from];
}

}  // namespace detail

/// Moves positions and columns of slots from one row to another, wherever either lies. Nobody waits: a sync() has to come before others read them.
template <cooperative_group G, class Columns, class From, class To>
KVSIFT_HOST_DEVICE void copy_slots(G const& g, Columns const& stored, row_view<Columns, From> const& from, row_view<Columns, To> const& to,
                                   slot_moves const& moves) {
  if (g.num_threads() != 1) return move_planes(g, from, to, moves, false);
  for (std::uint32_t m = 0; m < moves.count; ++m) {
    std::uint32_t const source = moves.from(m), target = moves.to(m);
    stored.for_each(detail::column_mover<row_view<Columns, From>, row_view<Columns, To>>{from, to, source, target});
    to.positions[target] = from.positions[source];
  }
}

/// Moves everything that belongs to slots into other slots of the same row. Bytes: what moves, read and written once.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void move_slots(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                   slot_moves const& moves) {
  if (g.num_threads() != 1) {
    move_planes(g, row, row, moves, true);
    g.sync();
    return;
  }
  for (std::uint32_t m = 0; m < moves.count; ++m) detail::move_one(cache, row, moves.from(m), moves.to(m));
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
  bool const stable = cache.order == layout::dense;
  if (g.num_threads() != 1)
    move_slots(g, cache, row, {{nullptr, stable ? victim + 1 : last}, {nullptr, victim}, stable ? last - victim : victim != last ? 1u : 0u, stable});
  else if (stable)
    for (std::uint32_t slot = victim; slot < last; ++slot) detail::move_one(cache, row, slot + 1, slot);
  else if (victim != last)
    detail::move_one(cache, row, last, victim);
  if (g.thread_rank() == 0) {
    row.state->held = last;
    give_back_slots(cache, row, last + 1, last);
  }
  g.sync();
}

namespace detail {

/// The moves that close the holes of a row of `held` slots, as compact_row says, by one thread; and how many slots stay. goes becomes
/// where they go, scratch where from.
KVSIFT_HOST_DEVICE inline slot_moves listed_closing_moves(layout order, std::uint32_t held, std::uint32_t* goes, std::uint32_t* scratch,
                                                          std::uint32_t& kept) {
  kept = 0;
  for (std::uint32_t i = 0; i < held; ++i) kept += goes[i] == 0 ? 1u : 0u;
  bool const stable = order == layout::dense;
  std::uint32_t to = 0, moves = 0;
  for (std::uint32_t i = stable ? 0 : kept; i < held; ++i) {
    if (goes[i] != 0) continue;
    while (!stable && goes[to] == 0) ++to;
    if (to != i) {
      scratch[moves] = i;
      goes[moves++] = to;
    }
    ++to;
  }
  return {{scratch}, {goes}, moves, stable};
}

/// The same by the whole group: victims are counted up, and every survivor finds its own place. goes holds the list.
template <cooperative_group G>
KVSIFT_HOST_DEVICE slot_moves closing_moves(G const& g, layout order, std::uint32_t held, std::uint32_t* goes, std::uint32_t* scratch,
                                            std::uint32_t& kept) {
  if (g.num_threads() == 1) return listed_closing_moves(order, held, goes, scratch, kept);
  inclusive_scan(g, [&](std::uint32_t slot) { return goes[slot] != 0 ? 1u : 0u; }, scratch, held);
  auto const gone_below = [&](std::uint32_t slot) { return slot == 0 ? 0 : scratch[slot - 1]; };
  kept = held - gone_below(held);
  if (order == layout::dense) {
    std::uint32_t first = 0;  // victim, or `kept` if no survivor lies behind one: found by halves
    for (std::uint32_t end = kept; first < end;) {
      std::uint32_t const middle = first + (end - first) / 2;
      if (scratch[middle] == 0)
        first = middle + 1;
      else
        end = middle;
    }
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads())
      if (scratch[i] == gone_below(i)) goes[i - scratch[i]] = i;
    g.sync();
    return {{goes, first}, {nullptr, first}, kept - first, true};
  }
  std::uint32_t const moves = gone_below(kept);
  for (std::uint32_t i = g.thread_rank(); i < kept; i += g.num_threads())
    if (scratch[i] != gone_below(i)) goes[gone_below(i)] = i;
  for (std::uint32_t i = kept + g.thread_rank(); i < held; i += g.num_threads())
    if (scratch[i] == gone_below(i)) goes[i - kept + 2 * moves - scratch[i]] = i;  // behind the holes: as many
  g.sync();
  return {{goes, moves}, {goes, 0}, moves, false};
}

}  // namespace detail

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
    inclusive_scan(g, [&](std::uint32_t rank) { return scratch[rank]; }, scratch, held);
    for (std::uint32_t i = g.thread_rank(); i < held; i += g.num_threads())
      if (goes[i] == 0) row.ranks[i] -= scratch[row.ranks[i]];
    g.sync();
  }
  std::uint32_t kept = 0;
  slot_moves const moves = detail::closing_moves(g, cache.order, held, goes, scratch, kept);
  move_slots(g, cache, row, moves);
  if (g.thread_rank() == 0) {
    row.state->held = kept;
    give_back_slots(cache, row, held, kept);
  }
  g.sync();
}

}  // namespace kvsift
