#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <typeinfo>
#include <vector>

#include <kvsift/cache/storage.hpp>
#include <support/listed.hpp>

namespace support {

/// Everything that a slot holds, bit for bit.
struct slot_content {
  std::uint32_t position = 0;
  std::uint32_t rank = 0;  ///< 0 where ranks are not kept
  std::string key, value;
  std::map<std::string, std::string> columns;  ///< by name of the type; those that are stored
  friend bool operator==(slot_content const&, slot_content const&) = default;
};

struct row_content {
  std::uint32_t held = 0, next = 0, observed_from = 0, limit = 0;
  std::vector<slot_content> slots;
  friend bool operator==(row_content const&, row_content const&) = default;

  std::vector<std::uint32_t> positions() const {
    std::vector<std::uint32_t> list;
    for (slot_content const& s : slots) list.push_back(s.position);
    return list;
  }
};

/// What a cache holds: rows in the order of the cache, slots in theirs.
using snapshot = std::vector<row_content>;

namespace detail {

template <class Row>
struct column_reader {
  Row const& row;
  std::uint32_t slot;
  std::map<std::string, std::string>& to;

  template <class C>
  void operator()(C const& column, std::size_t) const {
    if (column.width() == 0) return;
    auto const* const e = row.template column<C>().at(slot);
    to[typeid(C).name()] = std::string(reinterpret_cast<char const*>(e), column.width() * sizeof *e);
  }
};

}  // namespace detail

template <class Columns, class Placement>
snapshot take_snapshot(kvsift::cache_view<Columns, Placement> const& cache) {
  snapshot rows(cache.shape.rows());
  std::size_t const bytes = cache.vector_bytes;
  for (std::uint32_t r = 0; r < cache.shape.rows(); ++r) {
    auto const row = cache.row(r);
    rows[r] = {row.state->held, row.state->next, row.state->observed_from, row.state->limit, {}};
    for (std::uint32_t i = 0; i < row.state->held; ++i) {
      slot_content s;
      s.position = row.positions[i];
      s.rank = row.ranks == nullptr ? 0 : row.ranks[i];
      s.key.assign(reinterpret_cast<char const*>(row.keys.at(i)), bytes);
      s.value.assign(reinterpret_cast<char const*>(row.values.at(i)), bytes);
      cache.stored.for_each(detail::column_reader<decltype(row)>{row, i, s.columns});
      rows[r].slots.push_back(s);
    }
  }
  return rows;
}

/// The same with the slots of each row in the order of their positions.
inline snapshot by_position(snapshot rows) {
  for (row_content& row : rows)
    std::sort(row.slots.begin(), row.slots.end(),
              [](slot_content const& a, slot_content const& b) { return a.position < b.position; });
  return rows;
}

/// Where two snapshots first differ, in words; empty if nowhere. CHECK(difference(a, b) == "") prints it.
inline std::string difference(snapshot const& got, snapshot const& want) {
  if (got.size() != want.size()) return "numbers of rows differ";
  for (std::size_t r = 0; r < got.size(); ++r) {
    if (got[r] == want[r]) continue;
    std::string const row = "row " + std::to_string(r) + ": ";
    if (got[r].positions() != want[r].positions())
      return row + "positions " + listed(got[r].positions()) + " instead of " + listed(want[r].positions());
    for (std::size_t i = 0; i < got[r].slots.size(); ++i) {
      slot_content const &a = got[r].slots[i], &b = want[r].slots[i];
      std::string const slot = row + "position " + std::to_string(a.position) + ": ";
      if (a.rank != b.rank) return slot + "ranks differ";
      if (a.key != b.key) return slot + "keys differ";
      if (a.value != b.value) return slot + "values differ";
      if (a.columns.size() != b.columns.size()) return slot + "other columns are stored";
      for (auto const& [name, bytes] : a.columns)
        if (b.columns.find(name) == b.columns.end() || b.columns.at(name) != bytes) return slot + "column " + name + " differs";
    }
    return row + "states differ";
  }
  return "";
}

}  // namespace support
