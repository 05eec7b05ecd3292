// A pool of threads runs every block once, allocates nothing in a launch, and refuses what it cannot make.
#include <atomic>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>
#include <support/allocations.hpp>

TEST_CASE("every block runs once, however many there are") {
  for (std::uint32_t const threads : {1u, 2u, 4u}) {
    kvsift::parallel_executor const on(threads);
    CHECK(on.threads() == threads);
    for (std::uint32_t const blocks : {0u, 1u, 2u, 3u, 64u, 1000u}) {
      std::vector<std::atomic<int>> hits(blocks);
      on.launch(blocks, [&](auto const& g, std::uint32_t block) {
        if (g.thread_rank() == 0 && g.num_threads() == 1) ++hits[block];
      });
      for (std::uint32_t b = 0; b < blocks; ++b) REQUIRE(hits[b] == 1);
    }
  }
  CHECK(kvsift::parallel_executor().threads() >= 1);
}

TEST_CASE("a launch allocates nothing") {
  kvsift::parallel_executor const on(3);
  std::atomic<std::uint32_t> sum{0};
  on.launch(8, [&](auto const&, std::uint32_t block) { sum += block; });
  support::allocation_scope const counted;
  for (int i = 0; i < 100; ++i) on.launch(8, [&](auto const&, std::uint32_t block) { sum += block; });
  CHECK(counted.count() == 0);
  CHECK(sum == 101 * 28);
}
