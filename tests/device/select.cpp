// On a GPU: the cut of each row is the CPU's, bit for bit, by a team, a block and several blocks a row, plainly and in a replayed graph.
#include <array>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <device/gpu.hpp>
#include <device/verbs.hpp>
#include <kvsift/cuda/graph.hpp>
#include <support/ordered_items.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

/// Rows of many values, of few, of one exponent and of one value, by turns.
std::vector<float> scores_of(u32 rows, u32 length, std::uint64_t seed) {
  support::draws d(seed);
  std::vector<float> x;
  for (u32 r = 0; r < rows; ++r)
    for (u32 i = 0; i < length; ++i) {
      double const u = d.uniform();
      x.push_back(static_cast<float>(r % 4 == 0 ? u * u : r % 4 == 1 ? d.between(-2, 2) : r % 4 == 2 ? 1 + u / 4 : 0.5));
    }
  return x;
}

}  // namespace

TEST_CASE("rows of any length have the CPU's cuts, again when the scores have changed") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (auto const& shape : {std::array<u32, 2>{13, 100}, {70, 1024}, {9, 5000}, {5, 40000}, {600, 6000}, {5, 70000}, {2, 400000}}) {
    u32 const rows = shape[0], length = shape[1];
    for (u32 const count : {1u, length / 3, length - 1})
      for (u32 const threads : {32u, 128u, 256u}) {
        CAPTURE(rows);
        CAPTURE(length);
        CAPTURE(count);
        CAPTURE(threads);
        device::where const on{s.value, threads};
        device::array<float> scores(s.value, scores_of(rows, length, 1));
        score_rows const of{scores.data(), length, rows, length, count};
        std::size_t const bytes = device::select_rows_bytes(on, of);
        device::array<std::byte> const workspace(s.value, bytes);
        device::array<selection_cut> const cuts(s.value, rows);
        cuda::graph const graph = cuda::graph::capture(s.value, [&] { device::select_rows(on, of, cuts.data(), workspace.data(), bytes); });
        for (std::uint64_t const seed : {1u, 2u}) {
          std::vector<float> const now = scores_of(rows, length, seed);
          scores = now;
          graph.launch(s.value);
          std::vector<selection_cut> const found = cuts.host();
          std::vector<selection_cut> want(rows);
          score_rows const same{now.data(), length, rows, length, count};
          std::vector<std::byte> words(kvsift::select_rows_bytes(serial_executor{}, same));
          kvsift::select_rows(serial_executor{}, same, want.data(), words.data(), words.size());
          for (u32 r = 0; r < rows; ++r) {
            CAPTURE(r);
            CHECK(support::same(found[r], want[r]));
          }
        }
      }
  }
}
