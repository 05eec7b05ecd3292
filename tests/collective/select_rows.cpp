// Cuts of many rows against a sort: a block a row, a team a row, several blocks a row; on the host, and where blocks have memory of their own.
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/cache/memory.hpp>
#include <kvsift/collective/select_rows.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <support/ordered_items.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using support::ordered_items;
using support::split_executor;
using u32 = std::uint32_t;

struct table {
  u32 rows, length, pitch;
  std::vector<float> scores{};

  score_rows lowest(u32 count) const { return {scores.data(), pitch, rows, length, count}; }
  ordered_items items(u32 row) const {
    ordered_items x;
    for (u32 i = 0; i < length; ++i) {
      x.keys.push_back(ordered_key(scores[std::size_t{row} * pitch + i]));
      x.ties.push_back(i);
    }
    return x;
  }
};

/// Rows of kinds of their own; NaN between them, and behind each.
table random_table(support::draws& d, u32 rows, u32 length) {
  table t{rows, length, length + static_cast<u32>(d.between(0, 9))};
  t.scores.assign(std::size_t{rows} * t.pitch, std::numeric_limits<float>::quiet_NaN());
  for (u32 r = 0; r < rows; ++r) {
    int const kind = d.between(0, 4);
    for (u32 i = 0; i < length; ++i) {
      float const x = static_cast<float>(d.uniform());
      t.scores[std::size_t{r} * t.pitch + i] = kind == 0   ? x
                                               : kind == 1 ? x * x * x - 0.5f
                                               : kind == 2 ? static_cast<float>(d.between(0, 3)) * -0.0f
                                               : kind == 3 ? static_cast<float>(i / 13) * (d.chance(0.9) ? 1.0f : -1.0f)
                                                           : 1 + x / 4;
      if (d.chance(0.01)) t.scores[std::size_t{r} * t.pitch + i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  return t;
}

std::vector<selection_cut> cuts_of_sort(table const& t, u32 count) {
  std::vector<selection_cut> cuts;
  for (u32 r = 0; r < t.rows; ++r) {
    ordered_items const x = t.items(r);
    cuts.push_back(ordered_items::cut_of_sort(x, x.sorted(), count));
  }
  return cuts;
}
bool same(std::vector<selection_cut> const& a, std::vector<selection_cut> const& b) {
  bool all = a.size() == b.size();
  for (std::size_t i = 0; all && i < a.size(); ++i) all = support::same(a[i], b[i]);
  return all;
}

template <class Executor>
std::vector<selection_cut> selected(Executor const& on, score_rows const& of, u32 threads) {
  host_memory const workspace(select_rows_bytes(on, of, threads));
  std::vector<selection_cut> cuts(of.rows, selection_cut{1, 2, true});
  select_rows(on, of, cuts.data(), workspace.data(), workspace.size(), threads);
  return cuts;
}

/// Several blocks a row, of parts and memory much smaller than select_rows takes.
std::vector<selection_cut> selected_in_parts(split_executor const& on, score_rows const& of, u32 parts, u32 kept) {
  u32 const each = (of.length + parts - 1) / parts;
  detail::row_parts shared{parts, each, kept, nullptr, detail::room_for(kept)};
  std::vector<u32> handed_over(of.rows * shared.row_words(), 0x7fc00000u);
  shared.words = handed_over.data();
  std::vector<selection_cut> cuts(of.rows);
  on.launch(of.rows * parts, select_part_task{of, shared});
  on.launch(of.rows, join_parts_task{of, shared, cuts.data(), nullptr, on.threads});
  return cuts;
}

}  // namespace

TEST_CASE("each row has the cut of a sort, on the host and where blocks have memory") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    using enum split_executor::order;
    support::draws d(seed);
    bool const is_short = d.chance(0.5);
    u32 const length = static_cast<u32>(is_short ? d.between(1, 60) : d.one_of(std::vector<int>{1023, 1024, 1025, 3000}));
    table const t = random_table(d, static_cast<u32>(d.between(1, is_short ? 20 : 5)), length);
    CAPTURE(t.rows);
    CAPTURE(length);
    for (u32 const count : {0u, 1u, static_cast<u32>(d.between(0, static_cast<int>(length))), length - 1, length, length + 1}) {
      CAPTURE(count);
      std::vector<selection_cut> const want = cuts_of_sort(t, count);
      CHECK(same(selected(serial_executor{}, t.lowest(count), 1), want));
      u32 const threads = d.one_of(std::vector<u32>{1, 32, 33, 64, 128});
      CAPTURE(threads);
      CHECK(same(selected(split_executor{threads, d.chance(0.5) ? forwards : backwards}, t.lowest(count), threads), want));
      if (d.chance(0.2)) CHECK(same(selected(support::thread_group_executor{threads}, t.lowest(count), threads), want));
    }
    CHECK(same(selected(parallel_executor(2), t.lowest(length / 2), 1), cuts_of_sort(t, length / 2)));
  });
}

TEST_CASE("blocks that share a row find its cut, whatever they share it by and keep of it") {
  support::for_each_seed(80, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const threads = d.one_of(std::vector<u32>{1, 2, 33, 128}), kept = d.one_of(std::vector<u32>{64, 128, 480});
    u32 const parts = static_cast<u32>(d.between(2, 9)), length = static_cast<u32>(d.between(static_cast<int>(kept) + 1, 4000));
    table const t = random_table(d, 2, length);
    CAPTURE(threads);
    CAPTURE(kept);
    CAPTURE(parts);
    CAPTURE(length);
    for (u32 const count : {1u, static_cast<u32>(d.between(1, static_cast<int>(length) - 1)), length - 1}) {
      CAPTURE(count);
      auto const how = d.chance(0.5) ? split_executor::order::forwards : split_executor::order::backwards;
      CHECK(same(selected_in_parts({threads, how}, t.lowest(count), parts, kept), cuts_of_sort(t, count)));
    }
  });
}

TEST_CASE("long rows are shared by blocks in two launches, captured and replayed over other scores; others take one") {
  support::draws d(3);
  for (auto const& shared : {std::array<u32, 4>{1, 65537, 5, 2}, {2, 140000, 9, 2}, {600, 65537, 1, 1}, {3, 65536, 1, 1}, {9, 1024, 1, 1}}) {
    u32 const rows = shared[0], length = shared[1], parts = shared[2], launches = shared[3];
    CAPTURE(rows);
    CAPTURE(length);
    score_rows const shape{nullptr, length, rows, length, length / 3};
    CHECK(detail::row_parts::of(shape, 4).count == parts);
    if (rows == 600) continue;
    table t = random_table(d, rows, length);
    std::vector<std::function<void()>> captured;
    split_executor const on{4, split_executor::order::forwards, &captured};
    host_memory const workspace(select_rows_bytes(on, t.lowest(length / 3), 4));
    std::vector<selection_cut> cuts(rows);
    select_rows(on, t.lowest(length / 3), cuts.data(), workspace.data(), workspace.size(), 4);
    CHECK(captured.size() == launches);
    for (int replay = 0; replay < 2; ++replay) {
      for (auto const& launch : captured) launch();
      CHECK(same(cuts, cuts_of_sort(t, length / 3)));
      for (float& x : t.scores) x = 1 - x * 0.7f;
    }
  }
}

TEST_CASE("rows that overlap and a workspace that is too small are refused") {
  float const scores[4] = {};
  selection_cut cuts[2];
  serial_executor const on;
  CHECK_THROWS_WITH(select_rows(on, {scores, 1, 2, 2, 1}, cuts, nullptr, 64), "pitch is 1; give rows at least as long as they are read");
  CHECK_THROWS_WITH(select_rows(on, {scores, 2, 2, 2, 1}, cuts, nullptr, 8), "workspace_bytes is 8; give what select_rows_bytes says");
}
