#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/cache/placement.hpp>
#include <kvsift/cache/row.hpp>
#include <kvsift/collective/attention.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

// Many slots move at once. K, V, positions, ranks and columns are planes, so many bytes a slot, and all of them move by one text: a batch
// of words is read, then written, as many words a thread as it can have under way.
namespace kvsift {

/// The m-th move takes what slot from(m) holds to slot to(m), m < count.
struct slot_moves {
  /// Slots that stand in a list, from `first` on; without a list first, first + 1, ...
  struct slots {
    std::uint32_t const* list = nullptr;
    std::uint32_t first = 0;
    KVSIFT_HOST_DEVICE KVSIFT_INLINE std::uint32_t operator()(std::uint32_t m) const { return list == nullptr ? first + m : list[first + m]; }
  };
  slots from;
  slots to;
  std::uint32_t count = 0;
  bool overlap = false;  ///< slots are left and entered: both ascend then, and to(m) < from(m)
};

namespace detail {

struct alignas(16) wide_word {
  std::uint64_t low, high;
};

/// The word of so many bytes.
template <std::size_t Bytes>
using word_of = std::conditional_t<Bytes == 16, wide_word,
                                   std::conditional_t<Bytes == 8, std::uint64_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint8_t>>>;

/// Moves a plane word by word, neighbouring threads neighbouring words. One barrier a batch where moves overlap, else none: what a batch
/// writes lies below everything that later ones read, and what it reads has been read when it writes.
template <class Word, cooperative_group G, class From, class To>
KVSIFT_HOST_DEVICE void move_words(G const& g, placed_vectors<From> const& from, placed_vectors<To> const& to, slot_moves const& moves) {
  constexpr std::uint32_t at_once = 4;  // words that a thread has under way
  std::uint32_t const words = static_cast<std::uint32_t>(to.stride / sizeof(Word)), threads = g.num_threads();
  std::uint32_t const next_move = threads / words, next_word = threads % words;
  struct item {
    std::uint32_t move, word;
  } at{g.thread_rank() / words, g.thread_rank() % words};
  auto const advance = [&] {
    at.move += next_move;
    at.word += next_word;
    if (at.word >= words) {
      at.word -= words;
      ++at.move;
    }
  };
  std::uint64_t const all = std::uint64_t{moves.count} * words, batch = std::uint64_t{threads} * at_once;
  for (std::uint64_t begun = 0; begun < all; begun += batch) {
    Word held[at_once] = {};
    item const first = at;
    KVSIFT_UNROLL for (std::uint32_t i = 0; i < at_once; ++i, advance())
      if (at.move < moves.count) {
        std::byte const* const source = from.at(moves.from(at.move)) + at.word * sizeof(Word);
        __builtin_memcpy(held + i, __builtin_assume_aligned(source, sizeof(Word)), sizeof(Word));
      }
    if (moves.overlap) g.sync();
    at = first;
    KVSIFT_UNROLL for (std::uint32_t i = 0; i < at_once; ++i, advance())
      if (at.move < moves.count) {
        std::byte* const target = to.at(moves.to(at.move)) + at.word * sizeof(Word);
        __builtin_memcpy(__builtin_assume_aligned(target, sizeof(Word)), held + i, sizeof(Word));
      }
  }
}

/// Moves a plane by the widest words that both places, and all slots, begin with.
template <cooperative_group G, class From, class To>
KVSIFT_HOST_DEVICE void move_plane(G const& g, placed_vectors<From> const& from, placed_vectors<To> const& to, slot_moves const& moves) {
  std::uintptr_t const bits = reinterpret_cast<std::uintptr_t>(from.base) | reinterpret_cast<std::uintptr_t>(to.base) | to.stride;
  if (bits % 16 == 0)
    move_words<word_of<16>>(g, from, to, moves);
  else if (bits % 8 == 0)
    move_words<word_of<8>>(g, from, to, moves);
  else if (bits % 4 == 0)
    move_words<word_of<4>>(g, from, to, moves);
  else
    move_words<word_of<1>>(g, from, to, moves);
}

/// The planes of a row by number: positions, then columns, then what else moves within a row: ranks, keys and values. What is not
/// kept is a plane of no bytes.
template <class Columns>
struct row_planes {
  static constexpr std::uint32_t carried = 1 + Columns::size;
  static constexpr std::uint32_t all = carried + 3;

  template <class Placement>
  KVSIFT_HOST_DEVICE static placed_vectors<typename Placement::places> plane(row_view<Columns, Placement> const& row, std::uint32_t index) {
    auto const& places = row.positions.places;
    if (index == 0) return {reinterpret_cast<std::byte*>(row.positions.base), sizeof(std::uint32_t), places};
    if (index == carried) return {reinterpret_cast<std::byte*>(row.ranks.base), row.ranks == nullptr ? 0 : sizeof(std::uint32_t), places};
    if (index == carried + 1) return row.keys;
    if (index == carried + 2) return row.values;
    placed_vectors<typename Placement::places> found{nullptr, 0, places};
    Columns::for_each_size([&](std::size_t c, std::size_t bytes) {
      if (c + 1 != index) return;
      found.base = static_cast<std::byte*>(row.columns[c]);
      found.stride = bytes * row.widths[c];
    });
    return found;
  }
};

}  // namespace detail

/// Moves positions and columns of slots from one row to another, wherever either lies; within a row (`whole`) ranks, keys and values too.
/// For several threads; they meet only where moves overlap. Bytes: what moves, read and written once.
template <cooperative_group G, class Columns, class From, class To>
KVSIFT_HOST_DEVICE void move_planes(G const& g, row_view<Columns, From> const& from, row_view<Columns, To> const& to, slot_moves const& moves,
                                    bool whole) {
  using planes = detail::row_planes<Columns>;
  for (std::uint32_t p = 0; p < (whole ? planes::all : planes::carried); ++p) {
    auto const target = planes::plane(to, p);
    if (target.stride != 0) detail::move_plane(g, planes::plane(from, p), target, moves);
  }
}

}  // namespace kvsift
