#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <kvsift/collective/select.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/exec/team.hpp>

namespace kvsift {

/// Rows of scores, and how many of each are looked for.
struct score_rows {
  float const* scores = nullptr;  ///< [rows, pitch]
  std::size_t pitch = 0;
  std::uint32_t rows = 0;
  std::uint32_t length = 0;  ///< of each, at most pitch
  std::uint32_t count = 0;
};

namespace detail {

inline constexpr std::uint32_t short_row = 1024;      ///< that a team of threads takes
inline constexpr std::uint32_t long_row = 65536;      ///< beyond it several blocks share a row,
inline constexpr std::uint32_t row_part = 16384;      ///< about so many items each,
inline constexpr std::uint32_t shared_blocks = 1024;  ///< and so many blocks in all
inline constexpr std::uint32_t most_parts = 256;

/// Memory of a block: less where there are so many that a device's memory is idle unless many of them run at once.
inline std::uint32_t room_of_blocks(std::uint32_t blocks, std::uint32_t threads) {
  return blocks <= 512 || threads > 128 ? usual_room : usual_room / 2;
}

struct score_keys {
  float const* scores;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t i) const { return ordered_key(scores[i]); }
};
struct index_ties {
  std::uint32_t first = 0;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t i) const { return first + i; }
};
KVSIFT_HOST_DEVICE inline score_keys keys_of(score_rows const& of, std::uint32_t row, std::uint32_t from = 0) {
  return {of.scores + row * of.pitch + from};
}

/// A block's threads by 32, each team with memory of its own. A wait is the whole block's: teams have to wait equally often.
template <group_with_memory G>
class team_in_step : public team {
 public:
  KVSIFT_HOST_DEVICE team_in_step(G const& g, std::uint32_t bytes) : team(g), of_(g), bytes_(bytes) {}
  KVSIFT_HOST_DEVICE void sync() const { of_.sync(); }
  KVSIFT_HOST_DEVICE std::byte* memory() const { return of_.memory() + std::size_t{index} * bytes_; }
  KVSIFT_HOST_DEVICE std::uint32_t room() const { return bytes_; }

 private:
  G const& of_;
  std::uint32_t bytes_;
};

/// How blocks share a row, and what they hand over: each what it counted, its bracket, and the keys inside it.
struct row_parts {
  std::uint32_t count = 1;   ///< a row
  std::uint32_t length = 0;  ///< items of a part
  std::uint32_t keys = 0;    ///< of a part that can be handed over
  std::uint32_t* words = nullptr;  ///< [rows, count, 8 + keys]
  std::uint32_t room = 0;    ///< of a block

  static row_parts of(score_rows const& rows, std::uint32_t threads) {
    if (rows.length <= long_row || rows.count == 0 || rows.count >= rows.length) return {};
    std::uint32_t const by_length = (rows.length - 1) / row_part + 1, wished = std::max(1u, shared_blocks / rows.rows);
    std::uint32_t const parts = std::min({by_length, wished, most_parts});
    if (parts == 1) return {};
    std::uint32_t const room = room_of_blocks(rows.rows * parts, threads);
    return {parts, ((rows.length - 1) / parts + 32) / 32 * 32, room / 4 - selection_words, nullptr, room};
  }
  std::size_t row_words() const { return std::size_t{count} * (8 + keys); }

  struct part {
    bracket_tally* tally;
    value_bracket* bracket;
    std::uint32_t* keys;
  };
  KVSIFT_HOST_DEVICE part at(std::uint32_t row, std::uint32_t p) const {
    std::uint32_t* const own = words + (std::size_t{row} * count + p) * (8 + keys);
    return {reinterpret_cast<bracket_tally*>(own), reinterpret_cast<value_bracket*>(own + 4), own + 8};
  }
  KVSIFT_HOST_DEVICE std::uint32_t begin(std::uint32_t p, std::uint32_t all) const { return p * length < all ? p * length : all; }
};

}  // namespace detail

/// A block a row.
struct select_row_task {
  score_rows of;
  selection_cut* cuts;
  std::uint32_t* words;  ///< [rows, 2 x threads]
  std::uint32_t threads;
  std::uint32_t room;

  std::size_t block_bytes(std::uint32_t) const { return room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t row) const {
    with_room(g, room, [&](auto const& in) {
      selection_cut const cut = select_lowest(in, detail::keys_of(of, row), detail::index_ties{}, of.length, of.count,
                                              words + std::size_t{row} * 2 * threads);
      if (in.thread_rank() == 0) cuts[row] = cut;
    });
  }
};

/// Rows of at most short_row items, 0 < count < length: a team each.
struct select_short_rows_task {
  score_rows of;
  selection_cut* cuts;
  std::uint32_t* words;  ///< [rows, 2 x threads]
  std::uint32_t threads;
  std::uint32_t rows_a_block;
  std::uint32_t room;    ///< of a team

  std::size_t block_bytes(std::uint32_t of_threads) const { return std::size_t{(of_threads + team::most - 1) / team::most} * room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const first = block * rows_a_block, end = of.rows - first < rows_a_block ? of.rows : first + rows_a_block;
    if constexpr (group_with_memory<G>) {
      detail::team_in_step<G> const mine(g, room);
      for (std::uint32_t from = first; from < end; from += mine.count) {  // a team without a row does its neighbour's, and keeps it
        std::uint32_t const row = from + mine.index;
        selection_cut const cut =
            detail::select_in_room(mine, detail::keys_of(of, row < end ? row : end - 1), detail::index_ties{}, of.length, of.count, true);
        if (row < end && mine.thread_rank() == 0) cuts[row] = cut;
      }
    } else {
      for (std::uint32_t row = first; row < end; ++row) {
        selection_cut const cut = select_lowest(g, detail::keys_of(of, row), detail::index_ties{}, of.length, of.count,
                                                words + std::size_t{row} * 2 * threads);
        if (g.thread_rank() == 0) cuts[row] = cut;
      }
    }
  }
};

/// A block of several of a row: what it counts of its part, and the keys inside the row's bracket, which all find alike.
struct select_part_task {
  score_rows of;
  detail::row_parts parts;

  std::size_t block_bytes(std::uint32_t) const { return parts.room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    if constexpr (group_with_memory<G>) {
      roomy_group<G> const in(g, parts.room);
      std::uint32_t const row = block / parts.count, p = block % parts.count;
      detail::score_keys const key = detail::keys_of(of, row);
      detail::value_bracket const bracket = detail::likely_bracket(in, key, of.length, of.count);
      detail::bracket_tally const tally =
          detail::tally_and_keep(in, key, parts.begin(p, of.length), parts.begin(p + 1, of.length), bracket);
      auto const to = parts.at(row, p);
      std::uint32_t const* const kept = detail::selection_room<roomy_group<G>>{in}.values();
      for (std::uint32_t i = in.thread_rank(); i < tally.inside && i < parts.keys; i += in.num_threads()) to.keys[i] = kept[i];
      if (in.thread_rank() != 0) return;
      *to.tally = tally;
      *to.bracket = bracket;
    }
  }
};

/// A block a row: the cut, from what the blocks of its parts left.
struct join_parts_task {
  score_rows of;
  detail::row_parts parts;
  selection_cut* cuts;
  std::uint32_t* words;  ///< [rows, 2 x threads]
  std::uint32_t threads;

  std::size_t block_bytes(std::uint32_t) const { return parts.room; }

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t row) const {
    selection_cut cut;
    if constexpr (group_with_memory<G>)
      cut = joined(roomy_group<G>(g, parts.room), row);
    else
      cut = select_lowest(g, detail::keys_of(of, row), detail::index_ties{}, of.length, of.count, words + std::size_t{row} * 2 * threads);
    if (g.thread_rank() == 0) cuts[row] = cut;
  }

 private:
  template <group_with_room G>
  KVSIFT_HOST_DEVICE selection_cut joined(G const& g, std::uint32_t row) const {
    detail::selection_room<G> const in{g};
    std::uint32_t* const sums = in.tally();
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i < 4; i += g.num_threads()) sums[i] = 0;
    g.sync();
    for (std::uint32_t p = g.thread_rank(); p < parts.count; p += g.num_threads()) {
      detail::bracket_tally const own = *parts.at(row, p).tally;
      add_to(sums[0], own.below);
      add_to(sums[1], own.lows);
      add_to(sums[2], own.highs);
      add_to(sums[3], own.inside);
    }
    g.sync();
    detail::bracket_tally const all{sums[0], sums[1], sums[2], sums[3]};
    detail::value_bracket const bracket = *parts.at(row, 0).bracket;
    if (all.inside <= in.capacity()) collect(g, row);
    detail::ranked_value last = detail::ranked_in_bracket(g, bracket, all, of.count);
    bool const misled = last.equal == 0;
    detail::score_keys const key = detail::keys_of(of, row);
    if (misled) last = detail::ranked_by_digits(g, key, 0, of.length, of.count);
    selection_cut cut{last.value, 0xffffffffu, false};
    if (last.below + last.equal == of.count) return cut;
    std::uint32_t const rank = of.count - last.below;
    if (misled)
      cut.tie = detail::ranked(g, detail::ties_at<detail::score_keys, detail::index_ties>{key, {}, last.value}, of.length, rank).value;
    else
      cut.tie = tie_in_parts(g, row, bracket, last.value, rank);
    return cut;
  }

  /// insides [parts] becomes how many keys each part handed over.
  template <group_with_room G>
  KVSIFT_HOST_DEVICE void count_handed_over(G const& g, std::uint32_t row, std::uint32_t* insides) const {
    g.sync();
    for (std::uint32_t p = g.thread_rank(); p < parts.count; p += g.num_threads()) insides[p] = parts.at(row, p).tally->inside;
    g.sync();
  }
  /// Calls use(part, place, key) for the keys that all parts handed over.
  template <group_with_room G, class Use>
  KVSIFT_HOST_DEVICE void for_handed_over(G const& g, std::uint32_t row, std::uint32_t const* insides, Use const& use) const {
    std::uint32_t most = 0;
    for (std::uint32_t p = 0; p < parts.count; ++p) most = insides[p] > most ? insides[p] : most;
    std::uint32_t const end = parts.count * most;
    auto const key = [&](std::uint32_t x) { return x % most < insides[x / most] ? parts.at(row, x / most).keys[x % most] : 0u; };
    detail::for_batches<detail::values_ahead>(g, key, 0, end, [&](std::uint32_t first, auto const& keys) {
      KVSIFT_UNROLL for (std::uint32_t u = 0; u < detail::values_ahead; ++u) {
        std::uint32_t const x = first + u * g.num_threads();
        if (x < end && x % most < insides[x / most]) use(x / most, x % most, keys[u]);
      }
    });
  }

  /// Keeps the keys that all parts handed over.
  template <group_with_room G>
  KVSIFT_HOST_DEVICE void collect(G const& g, std::uint32_t row) const {
    detail::selection_room<G> const in{g};
    std::uint32_t *const insides = in.counters(0), *const firsts = in.counters(1);
    count_handed_over(g, row, insides);
    for (std::uint32_t p = g.thread_rank(); p < parts.count; p += g.num_threads()) {
      std::uint32_t before = 0;
      for (std::uint32_t other = 0; other < p; ++other) before += insides[other];
      firsts[p] = before;
    }
    g.sync();
    for_handed_over(g, row, insides, [&](std::uint32_t p, std::uint32_t place, std::uint32_t key) { in.values()[firsts[p] + place] = key; });
  }

  /// The rank-th of the items whose key is `value`: of their part nothing but the place among them is left to find.
  template <group_with_room G>
  KVSIFT_HOST_DEVICE std::uint32_t tie_in_parts(G const& g, std::uint32_t row, detail::value_bracket const& bracket, std::uint32_t value,
                                                std::uint32_t rank) const {
    detail::selection_room<G> const in{g};
    std::uint32_t* const equals = in.counters(1);
    g.sync();
    for (std::uint32_t p = g.thread_rank(); p < parts.count; p += g.num_threads()) {
      detail::bracket_tally const own = *parts.at(row, p).tally;
      equals[p] = value == bracket.low ? own.lows : value == bracket.high ? own.highs : 0;
    }
    if (value != bracket.low && value != bracket.high) {
      count_handed_over(g, row, in.counters(0));
      for_handed_over(g, row, in.counters(0), [&](std::uint32_t p, std::uint32_t, std::uint32_t key) {
        if (key == value) add_to(equals[p], 1u);
      });
    }
    g.sync();
    std::uint32_t p = 0;
    for (; p + 1 < parts.count && rank > equals[p]; ++p) rank -= equals[p];
    std::uint32_t const begin = parts.begin(p, of.length), end = parts.begin(p + 1, of.length);
    detail::score_keys const key = detail::keys_of(of, row, begin);
    detail::index_ties const tie{begin};
    return detail::ranked(g, detail::ties_at<detail::score_keys, detail::index_ties>{key, tie, value}, end - begin, rank).value;
  }
};

namespace detail {

/// The memory of select_rows. With a null base it only counts.
struct select_rows_scratch {
  row_parts parts;
  std::uint32_t* words = nullptr;  ///< [rows, 2 x threads]
  std::size_t bytes = 0;

  static select_rows_scratch carve(std::byte* base, score_rows const& of, std::uint32_t threads, bool splits) {
    select_rows_scratch s;
    carver memory{base};
    s.words = memory.take<std::uint32_t>(std::size_t{of.rows} * 2 * threads);
    if (splits) s.parts = row_parts::of(of, threads);
    if (s.parts.count > 1) s.parts.words = memory.take<std::uint32_t>(of.rows * s.parts.row_words());
    s.bytes = memory.bytes;
    return s;
  }
};

}  // namespace detail

/// Bytes of workspace that select_rows needs: 8 a row and thread; and where blocks share rows, 24 or 48 KiB for each of up to 1024.
template <executor Executor>
std::size_t select_rows_bytes(Executor const&, score_rows const& of, std::uint32_t group_threads = 1) {
  return detail::select_rows_scratch::carve(nullptr, of, group_threads, splits_rows<space_of<Executor>>).bytes;
}

/// The cut of each row that takes its `count` lowest scores, of equal ones those with the lower index: of row r item i belongs to it where
///
///   cuts[r].holds(ordered_key(scores[r, i]), i)
///
/// NaN is lowest, -0 equals +0; a count of `length` or more takes all. cuts [rows]. Each score is read once or, beside samples, twice (see
/// select_lowest). The same bits on every executor. One launch; where rows may be split (splits_rows) two for rows of more than 65,536
/// scores, of which blocks then take 16,384 or more each, unless there are more than 512 rows. In rows of a million and more with a count
/// near the middle samples are too small: one block reads such a row four times more. No allocation, capturable: scores may change
/// between replays.
/// workspace: select_rows_bytes(on, of, group_threads) bytes on a 64-byte boundary.
/// Throws bad_argument if rows overlap, or the workspace is too small.
template <executor Executor>
void select_rows(Executor const& on, score_rows const& of, selection_cut* cuts, std::byte* workspace, std::size_t workspace_bytes,
                 std::uint32_t group_threads = 1) {
  constexpr bool splits = splits_rows<space_of<Executor>>;
  require(of.pitch >= of.length, "pitch", of.pitch, "give rows at least as long as they are read");
  require(of.length < 0x80000000u, "length", of.length, "give rows of less than 2^31 scores");
  auto const scratch = detail::select_rows_scratch::carve(workspace, of, group_threads, splits);
  require(workspace_bytes >= scratch.bytes, "workspace_bytes", workspace_bytes, "give what select_rows_bytes says");
  std::uint32_t const teams = (group_threads + team::most - 1) / team::most;
  if (scratch.parts.count > 1) {
    on.launch(of.rows * scratch.parts.count, select_part_task{of, scratch.parts});
    on.launch(of.rows, join_parts_task{of, scratch.parts, cuts, scratch.words, group_threads});
  } else if (splits && teams > 1 && of.length <= detail::short_row && of.count != 0 && of.count < of.length) {
    std::uint32_t const room = (detail::room_for(of.length) + 63) / 64 * 64;
    on.launch((of.rows + teams - 1) / teams, select_short_rows_task{of, cuts, scratch.words, group_threads, teams, room});
  } else {
    on.launch(of.rows, select_row_task{of, cuts, scratch.words, group_threads, detail::room_of_blocks(of.rows, group_threads)});
  }
}

}  // namespace kvsift
