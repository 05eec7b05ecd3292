#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/cache/page_pool.hpp>
#include <kvsift/cache/placement.hpp>
#include <kvsift/cache/row.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// How a row closes the hole that a victim leaves.
enum class layout : std::uint32_t {
  slots,  ///< the last slot's token moves into it: O(head_dim), the order of slots is no order of positions
  dense,  ///< the later ones move up: O(held x head_dim), slots stay in position order
};

/// Bytes of a plane with the gap behind it: planes begin on a boundary that suits any element.
KVSIFT_HOST_DEVICE constexpr std::size_t plane_bytes(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Slots rounded up to whole pages, or to whatever rows are made of.
KVSIFT_HOST_DEVICE constexpr std::uint64_t whole(std::uint64_t slots, std::uint32_t grain) { return (slots + grain - 1) / grain * grain; }

/// How the slots of a cache are shared out among its rows.
struct slot_extent {
  std::uint32_t capacity = 0;  ///< slots of a row, or of the longest one
  std::size_t slots = 0;       ///< of all rows
  bool ragged = false;         ///< rows differ: where each begins stands in a table

  /// Every row has `capacity` slots.
  static constexpr slot_extent even(cache_shape const& shape, std::uint32_t capacity) {
    return {capacity, std::size_t{shape.rows()} * capacity, false};
  }
};

/// The planes of a KV tensor, and where each row's part of them begins. Trivially copyable: what kernels are given.
/// K and V are [slots, vector_bytes], positions and ranks [slots], each column [slots, width]; rows lie one behind another,
/// in pages as in rows: there first_slot(r) / 32 is where row r's part of the table of pages begins.
template <class Columns, class Placement = in_rows>
struct cache_view {
  using placement = Placement;

  cache_shape shape{};
  Columns stored{};
  std::size_t vector_bytes = 0;  ///< of one key or value, as the payload stores it
  std::uint32_t capacity = 0;    ///< slots of a row, or of the longest one
  std::size_t slots = 0;         ///< of all rows
  layout order = layout::slots;
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  std::uint32_t* positions = nullptr;
  std::uint32_t* ranks = nullptr;  ///< null unless a position rule asks for them
  std::byte* columns = nullptr;    ///< one plane after another
  row_state* states = nullptr;
  std::uint64_t* firsts = nullptr;  ///< [rows + 1], the first slot of each row; null if every row has `capacity`
  std::uint32_t* pages = nullptr;   ///< [slots / 32], the page that holds each 32 slots; null in rows
  page_pool pool;                   ///< those that no row uses
  std::uint32_t* fell = nullptr;    ///< [rows], rank + 1 of the token that last left, 0 once seen to; null unless slots are realigned

  KVSIFT_HOST_DEVICE std::size_t first_slot(std::uint32_t r) const {
    return firsts == nullptr ? std::size_t{r} * capacity : static_cast<std::size_t>(firsts[r]);
  }
  /// Slots allocated for a row.
  KVSIFT_HOST_DEVICE std::uint32_t room(std::uint32_t r) const { return static_cast<std::uint32_t>(first_slot(r + 1) - first_slot(r)); }
  KVSIFT_HOST_DEVICE row_view<Columns, Placement> row(std::uint32_t r) const {
    typename Placement::places places{};
    std::size_t first = first_slot(r);
    if constexpr (Placement::paged) {
      places.pages = pages + first / page_slots;
      first = 0;
    }
    row_view<Columns, Placement> v;
    v.keys = {keys + first * vector_bytes, vector_bytes, places};
    v.values = {values + first * vector_bytes, vector_bytes, places};
    v.positions = {positions + first, places};
    v.ranks = {ranks == nullptr ? nullptr : ranks + first, places};
    v.state = states + r;
    v.how = __builtin_addressof(stored);
    v.head = r % shape.kv_heads;
    v.sequence = r / shape.kv_heads % shape.sequences;
    v.layer = r / shape.layer_rows();
    stored.for_each(place{v, columns, slots, first});
    return v;
  }

 private:
  struct place {
    row_view<Columns, Placement>& row;
    std::byte* base;
    std::size_t all;
    std::size_t first;
    mutable std::size_t offset = 0;

    KVSIFT_HOST_DEVICE place(row_view<Columns, Placement>& r, std::byte* b, std::size_t a, std::size_t f)
        : row(r), base(b), all(a), first(f) {}
    template <class C>
    KVSIFT_HOST_DEVICE void operator()(C const& column, std::size_t index) const {
      std::size_t const slot = column.width() * sizeof(typename C::element);
      row.columns[index] = base + offset + first * slot;
      row.widths[index] = column.width();
      offset += plane_bytes(all * slot);
    }
  };
};

/// What the planes of a cache weigh, in bytes.
struct cache_bytes {
  std::size_t vectors = 0;    ///< K and V
  std::size_t positions = 0;  ///< positions and ranks
  std::size_t columns = 0;
  std::size_t states = 0;     ///< and where rows begin, and the table of pages
  std::size_t tables = 0;     ///< that columns share

  constexpr std::size_t bookkeeping() const { return positions + columns + states + tables; }
  constexpr std::size_t total() const { return vectors + bookkeeping(); }
};

/// Lays the planes out behind one another, each on a 64-byte boundary. With a null base it only counts.
template <class Placement, class Columns>
cache_view<Columns, Placement> lay_out(std::byte* base, cache_shape const& shape, std::size_t vector_bytes, Columns const& stored,
                                       slot_extent const& extent, bool with_ranks, layout order, cache_bytes& bytes, std::size_t& total) {
  std::size_t const slots = extent.slots;
  total = 0;
  auto const take = [&](std::size_t count) {
    std::byte* const at = base == nullptr ? nullptr : base + total;
    total += plane_bytes(count);
    return at;
  };
  bytes.vectors = 2 * slots * vector_bytes;
  bytes.positions = (with_ranks ? 2 : 1) * slots * sizeof(std::uint32_t);
  bytes.columns = slots * stored.bytes_per_slot();
  std::size_t const starts = extent.ragged ? (std::size_t{shape.rows()} + 1) * sizeof(std::uint64_t) : 0;
  std::size_t const pages = Placement::paged ? slots / page_slots : 0;
  bytes.states = shape.rows() * sizeof(row_state) + starts + (pages + page_pool::words_for(pages)) * sizeof(std::uint32_t);
  cache_view<Columns, Placement> v;
  v.shape = shape;
  v.vector_bytes = vector_bytes;
  v.stored = stored;
  v.capacity = extent.capacity;
  v.slots = slots;
  v.order = order;
  v.keys = take(bytes.vectors / 2);
  v.values = take(bytes.vectors / 2);
  v.positions = reinterpret_cast<std::uint32_t*>(take(slots * sizeof(std::uint32_t)));
  v.ranks = with_ranks ? reinterpret_cast<std::uint32_t*>(take(slots * sizeof(std::uint32_t))) : nullptr;
  std::size_t columns = 0;
  stored.for_each([&](auto const& column, std::size_t) {
    columns += plane_bytes(slots * column.width() * sizeof(typename std::remove_cvref_t<decltype(column)>::element));
  });
  v.columns = take(columns);
  v.states = reinterpret_cast<row_state*>(take(shape.rows() * sizeof(row_state)));
  v.firsts = extent.ragged ? reinterpret_cast<std::uint64_t*>(take(starts)) : nullptr;
  if constexpr (Placement::paged) {
    v.pages = reinterpret_cast<std::uint32_t*>(take(pages * sizeof(std::uint32_t)));
    v.pool.free = reinterpret_cast<std::uint32_t*>(take(page_pool::words_for(pages) * sizeof(std::uint32_t)));
    v.pool.pages = static_cast<std::uint32_t>(pages);
  }
  return v;
}

}  // namespace kvsift
