#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <kvsift/cache/storage.hpp>

namespace support {

namespace detail {

template <class Columns>
struct column_poisoner {
  kvsift::row_view<Columns> const& row;
  std::uint32_t from, to;

  template <class C>
  void operator()(C const& column, std::size_t) const {
    std::size_t const slot = column.width() * sizeof(typename C::element);
    if (slot == 0) return;
    std::memset(reinterpret_cast<std::byte*>(row.template column<C>()) + from * slot, 0xff, (to - from) * slot);
  }
};

}  // namespace detail

/// Fills with 0xff (as floats NaN) what is undefined between two launches, even within a verb: the blocks' scratch.
template <class Cache>
void poison_scratch(Cache& cache) {
  auto const& work = cache.bound().work;
  std::memset(work.blocks, 0xff, static_cast<std::size_t>(reinterpret_cast<std::byte*>(work.words) - work.blocks));
}

/// Fills with 0xff (as positions absurd) what a cache leaves undefined between two verbs: its workspace, and whatever
/// lies in slots that no token holds.
template <class Cache>
void poison(Cache& cache) {
  std::memset(cache.bound().work.blocks, 0xff, cache.workspace_bytes());
  auto const& view = cache.view();
  std::size_t const bytes = Cache::payload::bytes(view.shape.head_dim);
  for (std::uint32_t r = 0; r < view.shape.rows(); ++r) {
    auto const row = view.row(r);
    std::uint32_t const held = row.state->held;
    std::size_t const free = view.room(r) - held;
    std::memset(row.keys.at(held), 0xff, free * bytes);
    std::memset(row.values.at(held), 0xff, free * bytes);
    std::memset(row.positions + held, 0xff, free * sizeof *row.positions);
    if (row.ranks != nullptr) std::memset(row.ranks + held, 0xff, free * sizeof *row.ranks);
    view.stored.for_each(detail::column_poisoner<typename Cache::columns>{row, held, view.room(r)});
  }
}

}  // namespace support
