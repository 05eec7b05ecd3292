// Selection in a block's memory on groups of 1, 32, 33 and 128 threads, and rows that blocks share, at the same time and in other orders: a
// missing sync(), or a read of what another block wrote without a launch between, is a data race that ThreadSanitizer reports.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/cache/memory.hpp>
#include <kvsift/collective/select_rows.hpp>
#include <support/ordered_items.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using support::split_executor;
using u32 = std::uint32_t;
using enum split_executor::order;

/// Rows of few values, and of many, by turns.
std::vector<float> scores_of(u32 rows, u32 length) {
  support::draws d(5);
  std::vector<float> x;
  for (u32 i = 0; i < rows * length; ++i)
    x.push_back(i / length % 2 == 0 ? static_cast<float>(d.between(0, 5)) : static_cast<float>(d.uniform()));
  return x;
}
std::vector<split_executor> const groups{{1, at_once}, {32, at_once}, {33, at_once}, {128, backwards}};

void agree(std::vector<selection_cut> const& cuts, std::vector<float> const& scores, u32 length, u32 count) {
  for (std::size_t r = 0; r < cuts.size(); ++r) {
    support::ordered_items x;
    for (u32 i = 0; i < length; ++i) {
      x.keys.push_back(ordered_key(scores[r * length + i]));
      x.ties.push_back(i);
    }
    CHECK(support::same(cuts[r], support::ordered_items::cut_of_sort(x, x.sorted(), count)));
  }
}

/// A block a row, whose memory keeps less than a row or more.
struct in_room_task {
  score_rows of;
  selection_cut* cuts;
  u32 room;
  std::size_t block_bytes(u32) const { return room; }
  template <cooperative_group G>
  void operator()(G const& g, u32 row) const {
    with_room(g, room, [&](auto const& in) {
      selection_cut const cut = select_lowest(in, detail::keys_of(of, row), detail::index_ties{}, of.length, of.count, nullptr);
      if (in.thread_rank() == 0) cuts[row] = cut;
    });
  }
};

}  // namespace

TEST_CASE("rows that fit into a block's memory, and rows that do not") {
  u32 const rows = 2, length = 700;
  std::vector<float> const scores = scores_of(rows, length);
  for (split_executor const& on : groups)
    for (u32 const kept : {64u, 300u, 800u})
      for (u32 const count : {1u, 333u}) {
        CAPTURE(on.threads);
        CAPTURE(kept);
        std::vector<selection_cut> cuts(rows);
        on.launch(rows, in_room_task{{scores.data(), length, rows, length, count}, cuts.data(), detail::room_for(kept)});
        agree(cuts, scores, length, count);
      }
}

TEST_CASE("a team a row") {
  u32 const rows = 7, length = 90;
  std::vector<float> const scores = scores_of(rows, length);
  for (split_executor const& on : {split_executor{33, at_once}, split_executor{128, at_once}}) {
    host_memory const workspace(select_rows_bytes(on, {scores.data(), length, rows, length, 40}, on.threads));
    std::vector<selection_cut> cuts(rows);
    select_rows(on, {scores.data(), length, rows, length, 40}, cuts.data(), workspace.data(), workspace.size(), on.threads);
    agree(cuts, scores, length, 40);
  }
}

TEST_CASE("several blocks a row") {
  u32 const rows = 2, length = 900, parts = 3, kept = 128;
  std::vector<float> const scores = scores_of(rows, length);
  for (split_executor const& on : groups)
    for (u32 const count : {5u, 450u}) {
      CAPTURE(on.threads);
      detail::row_parts shared{parts, length / parts, kept, nullptr, detail::room_for(kept)};
      std::vector<u32> handed_over(rows * shared.row_words());
      shared.words = handed_over.data();
      std::vector<selection_cut> cuts(rows);
      score_rows const of{scores.data(), length, rows, length, count};
      on.launch(rows * parts, select_part_task{of, shared});
      on.launch(rows, join_parts_task{of, shared, cuts.data(), nullptr, on.threads});
      agree(cuts, scores, length, count);
    }
}
