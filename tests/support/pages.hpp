#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <kvsift/cache/storage.hpp>
#include <support/poison.hpp>

namespace support {

/// What is wrong with the pages of a cache, in words; empty if every row has ceil(held / 32), no two share one, and all
/// others are free.
template <class Columns>
std::string misplaced_pages(kvsift::cache_view<Columns, kvsift::in_pages> const& view) {
  std::vector<bool> used(view.pool.pages);
  for (std::uint32_t r = 0; r < view.shape.rows(); ++r) {
    auto const row = view.row(r);
    if (row.state->held > view.room(r)) return "row " + std::to_string(r) + " holds more than its room";
    for (std::uint32_t i = 0; i < row.state->held; i += kvsift::page_slots) {
      std::uint32_t const page = row.positions.places.pages[i / kvsift::page_slots];
      if (page >= used.size()) return "row " + std::to_string(r) + " has a page that there is not";
      if (used[page]) return "page " + std::to_string(page) + " has two rows";
      used[page] = true;
    }
  }
  for (std::uint32_t page = 0; page < used.size(); ++page)
    if (((view.pool.free[page / 32] >> (page % 32) & 1u) != 0) == used[page])
      return "page " + std::to_string(page) + (used[page] ? " is free and has a row" : " is lost");
  return "";
}

/// Deals the pages of a cache out anew, with what lies in them, so that hardly any row lies in order: nothing may change.
template <class Columns>
void scatter_pages(kvsift::cache_view<Columns, kvsift::in_pages> const& view, std::uint64_t seed) {
  raw_slots const slots(view);
  auto const exchange = [&](std::uint32_t a, std::uint32_t b) {
    if (a == b) return;
    std::size_t const of_a = std::size_t{a} * kvsift::page_slots, of_b = std::size_t{b} * kvsift::page_slots;
    for (std::uint32_t i = 0; i < kvsift::page_slots; ++i) slots.exchange(of_a + i, of_b + i);
    for (std::uint32_t r = 0; r < view.shape.rows(); ++r)
      for (std::uint32_t i = 0; i < view.row(r).state->held; i += kvsift::page_slots) {
        std::uint32_t& page = view.row(r).positions.places.pages[i / kvsift::page_slots];
        page = page == a ? b : page == b ? a : page;
      }
    auto const bit = [&](std::uint32_t p) { return view.pool.free[p / 32] >> (p % 32) & 1u; };
    if (bit(a) != bit(b)) {
      view.pool.free[a / 32] ^= 1u << (a % 32);
      view.pool.free[b / 32] ^= 1u << (b % 32);
    }
  };
  for (std::uint32_t p = view.pool.pages; p > 1; --p) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    exchange(p - 1, static_cast<std::uint32_t>((seed >> 33) % p));
  }
}

/// The same for a cache in rows: there is nothing to deal.
template <class Columns>
void scatter_pages(kvsift::cache_view<Columns, kvsift::in_rows> const&, std::uint64_t) {}
template <class Columns>
std::string misplaced_pages(kvsift::cache_view<Columns, kvsift::in_rows> const&) {
  return "";
}

}  // namespace support
