#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include <kvsift/cache/storage.hpp>

namespace support {

/// The planes of a cache, a slot at a time, by where they lie: to spoil or to shuffle them.
template <class View>
class raw_slots {
 public:
  explicit raw_slots(View const& view) {
    auto const add = [&](void* base, std::size_t bytes) {
      if (base != nullptr && bytes != 0) planes_.push_back({static_cast<std::byte*>(base), bytes});
    };
    add(view.keys, view.vector_bytes);
    add(view.values, view.vector_bytes);
    add(view.positions, sizeof(std::uint32_t));
    add(view.ranks, sizeof(std::uint32_t));
    auto const first = view.row(0);  // its columns lie where the planes begin
    view.stored.for_each([&](auto const& column, std::size_t index) {
      add(first.columns[index], column.width() * sizeof(typename std::remove_cvref_t<decltype(column)>::element));
    });
  }
  void poison(std::size_t slot) const {
    for (plane const& p : planes_) std::memset(p.base + slot * p.bytes, 0xff, p.bytes);
  }
  void exchange(std::size_t a, std::size_t b) const {
    for (plane const& p : planes_) std::swap_ranges(p.base + a * p.bytes, p.base + (a + 1) * p.bytes, p.base + b * p.bytes);
  }

 private:
  struct plane {
    std::byte* base;
    std::size_t bytes;  ///< of a slot
  };
  std::vector<plane> planes_;
};

/// Where a slot of a row lies in the planes.
template <class View>
std::size_t place_of(View const& view, std::uint32_t row, std::uint32_t slot) {
  return static_cast<std::size_t>((view.row(row).positions + slot) - view.positions);
}

/// Fills with 0xff (as floats NaN) what is undefined between two launches, even within a verb: the blocks' scratch.
template <class Cache>
void poison_scratch(Cache& cache) {
  auto const& work = cache.bound().work;
  std::memset(work.blocks, 0xff, static_cast<std::size_t>(reinterpret_cast<std::byte*>(work.words) - work.blocks));
}

/// Fills with 0xff (as positions absurd) what a cache leaves undefined between two verbs: its workspace, whatever lies in
/// slots that no token holds, and entries of pages that a row does not have.
template <class Cache>
void poison(Cache& cache) {
  std::memset(cache.bound().work.blocks, 0xff, cache.bound().work.bytes);
  auto const& view = cache.view();
  std::vector<bool> used(view.slots);
  for (std::uint32_t r = 0; r < view.shape.rows(); ++r)
    for (std::uint32_t i = 0; i < view.row(r).state->held; ++i) used[place_of(view, r, i)] = true;
  raw_slots const slots(view);
  for (std::size_t slot = 0; slot < used.size(); ++slot)
    if (!used[slot]) slots.poison(slot);
  if constexpr (Cache::placement::paged)
    for (std::uint32_t r = 0; r < view.shape.rows(); ++r)
      for (std::uint32_t i = view.row(r).state->held; i < view.room(r); ++i)
        if (i % kvsift::page_slots == 0) view.row(r).positions.places.pages[i / kvsift::page_slots] = 0xffffffffu;
}

}  // namespace support
