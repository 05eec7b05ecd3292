#pragma once

#include <cstdint>

#include <kvsift/cache/moves.hpp>
#include <kvsift/cache/row.hpp>
#include <kvsift/cache/storage.hpp>

namespace kvsift {

namespace detail {

template <class Row>
struct admitter {
  Row const& row;
  std::uint32_t slot;
  arrival const& token;
  head_context const& about;

  template <class C>
  KVSIFT_HOST_DEVICE void operator()(C const& column, std::size_t) const {
    if (column.width() != 0) column.admit(row.template column<C>().at(slot), token, about);
  }
};

}  // namespace detail

/// Lets the columns of a slot be born.
template <cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void admit(G const& g, Columns const& stored, row_view<Columns, Placement> const& row, std::uint32_t slot,
                              arrival const& token) {
  if (g.thread_rank() == 0) stored.for_each(detail::admitter<row_view<Columns, Placement>>{row, slot, token, row.context(slot + 1)});
}

/// A row's state when a piece of `written` tokens has come; the first piece of all is one observation. `unfed` tokens feed no column if the
/// row is within its limit and none before them did; 0: what comes feeds.
KVSIFT_HOST_DEVICE inline row_state state_after(row_state s, std::uint32_t written, std::uint32_t unfed) {
  if (written != 0 && s.next == 0) s.observed_from = written - 1;
  s.held += written;
  s.next += written;
  if (unfed != 0 && s.held <= s.limit && s.fed_from == s.next - unfed) s.fed_from = s.next;
  return s;
}
/// Whether they feed columns, of such a state.
KVSIFT_HOST_DEVICE inline bool feeds_columns(row_state const& s, std::uint32_t unfed) { return unfed == 0 || s.fed_from != s.next; }

/// Writes one token into `slot`, the first that is not held; the row's state stays as it is. O(head_dim); the row must have room.
template <class Payload, cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void write_token(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                    arrival const& token, std::uint32_t slot) {
  std::uint32_t const dim = cache.shape.head_dim;
  take_slot(g, cache, row, slot);
  Payload::store(g, row.keys.at(slot), token.key, dim);
  Payload::store(g, row.values.at(slot), token.value, dim);
  admit(g, cache.stored, row, slot, token);
  if (g.thread_rank() == 0) {
    row.positions[slot] = token.position;
    if (row.ranks != nullptr) row.ranks[slot] = slot;  // as many tokens are held, all of lower position
  }
  g.sync();
}

/// Writes one token into the slot after the last one held; its position is the row's next.
template <class Payload, cooperative_group G, class Columns, class Placement>
KVSIFT_HOST_DEVICE void append_row(G const& g, cache_view<Columns, Placement> const& cache, row_view<Columns, Placement> const& row,
                                   arrival const& token) {
  std::uint32_t const slot = row.state->held;
  write_token<Payload>(g, cache, row, token, slot);
  if (g.thread_rank() == 0) {
    row.state->held = slot + 1;
    row.state->next = token.position + 1;
  }
  g.sync();
}

}  // namespace kvsift
