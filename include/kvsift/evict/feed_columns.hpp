#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/placement.hpp>
#include <kvsift/cache/row.hpp>
#include <kvsift/column/concepts.hpp>
#include <kvsift/core/exact.hpp>

namespace kvsift {

namespace detail {

/// What one query said of a slot: a [n], the mean over the group.
struct mass_of_query {
  float const* a;
  KVSIFT_HOST_DEVICE KVSIFT_INLINE mass operator()(std::uint32_t i) const { return {a[i], rounded_square(a[i]), a[i], a[i], 1}; }
};

/// What the queries of a piece said: evidence [5, pitch], see row_scratch.
struct mass_of_piece {
  float const* evidence;
  std::size_t pitch;
  std::uint32_t before;  ///< slots that every query could see
  std::uint32_t queries;
  KVSIFT_HOST_DEVICE mass operator()(std::uint32_t i) const {
    std::uint32_t const rows = i < before ? queries : queries - (i - before);
    return {evidence[i], evidence[pitch + i], evidence[2 * pitch + i], evidence[3 * pitch + i], rows, evidence[4 * pitch + i]};
  }
};

/// What an engine's own attention over a prompt said; planes [tokens], null where nothing was asked.
struct mass_of_engine {
  float const *sum, *squares, *last, *window, *young;
  std::uint32_t tokens;
  KVSIFT_HOST_DEVICE mass operator()(std::uint32_t i) const {
    return {at(sum, i), at(squares, i), at(last, i), at(window, i), tokens - i, at(young, i)};
  }

 private:
  KVSIFT_HOST_DEVICE static float at(float const* plane, std::uint32_t i) { return plane == nullptr ? 0.0f : plane[i]; }
};

template <class G, class Row, class MassOf>
struct column_feeder {
  G const& g;
  Row const& row;
  head_context const& about;
  MassOf const& mass_of;
  std::uint32_t n;

  template <class C>
  KVSIFT_HOST_DEVICE void operator()(C const& column, std::size_t) const {
    std::uint32_t const width = column.width();
    if (!C::feeds_on_attention || width == 0) return;
    C const mine = column;
    MassOf const said = mass_of;
    head_context const head = about;
    auto const e = row.template column<C>();
    if (width == 1) {
      for_own_slots(g, e.places, n, [&](auto const& where, std::uint32_t begin, std::uint32_t end, std::uint32_t step) {
        auto const one = e.single(where);
        for (std::uint32_t i = begin; i < end; i += step) mine.observe(one + i, said(i), head);
      });
    } else {
      for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) mine.observe(e.at(i), said(i), head);
    }
  }
};

}  // namespace detail

/// Feeds the columns of a row's first n slots with mass_of(slot). Reads and writes each column once.
template <cooperative_group G, class Columns, class Placement, class MassOf>
KVSIFT_HOST_DEVICE void feed_columns(G const& g, Columns const& stored, row_view<Columns, Placement> const& row, head_context const& about,
                                     MassOf const& mass_of, std::uint32_t n) {
  stored.for_each(detail::column_feeder<G, row_view<Columns, Placement>, MassOf>{g, row, about, mass_of, n});
  g.sync();
}

}  // namespace kvsift
