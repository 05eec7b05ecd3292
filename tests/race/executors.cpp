// Threads that share an executor's pool, and what they hand over to one another.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>

TEST_CASE("a launch sees what the caller wrote, and the caller what the blocks wrote") {
  kvsift::parallel_executor const on(4);
  std::vector<std::uint32_t> plain(64, 0);  // not atomic: the executor has to order the accesses
  for (std::uint32_t round = 1; round <= 300; ++round) {
    std::uint32_t const blocks = round % 65;
    on.launch(blocks, [&](auto const&, std::uint32_t block) { plain[block] = plain[block] + round; });
    for (std::uint32_t i = 0; i < blocks; ++i) plain[i] += 1;
  }
  std::uint32_t expected = 0;
  for (std::uint32_t round = 1; round <= 300; ++round) expected += round % 65 > 7 ? round + 1 : 0;
  CHECK(plain[7] == expected);
}

TEST_CASE("pools come and go, working and idle") {
  for (std::uint32_t threads : {1u, 2u, 3u, 5u}) {
    kvsift::parallel_executor idle(threads);
    kvsift::parallel_executor on(threads);
    kvsift::parallel_executor const copy = on;  // shares the threads
    std::vector<std::uint32_t> hits(9, 0);
    on.launch(9, [&](auto const&, std::uint32_t block) { ++hits[block]; });
    copy.launch(9, [&](auto const&, std::uint32_t block) { ++hits[block]; });
    CHECK(hits == std::vector<std::uint32_t>(9, 2));
  }
}
