// Rows of all blocks take pages from one pool and give them back, at once.
#include <cstdint>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <support/marked_vectors.hpp>
#include <support/pages.hpp>
#include <support/snapshot.hpp>

using u32 = std::uint32_t;

TEST_CASE("a page belongs to one row at a time, whatever the threads do, and none is lost") {
  constexpr u32 rows = 8, most = 5, pages = rows * most - 3;  // the last word of bits is not whole
  std::vector<u32> bits(kvsift::page_pool::words_for(pages)), data(pages, 0), wrong(rows, 0);
  kvsift::page_pool const pool{bits.data(), pages};
  pool.fill();
  kvsift::parallel_executor const on(4);
  for (u32 round = 0; round < 200; ++round)
    on.launch(rows, [&](auto const&, u32 row) {
      u32 mine[most], held = 0;
      std::uint64_t draw = (round + 1) * 0x9e3779b97f4a7c15u + row;
      for (int turn = 0; turn < 400; ++turn) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        u32 const limit = row < 3 ? most - 1 : most;  // so that the sum is what there is
        if ((draw >> 40) % 2 == 0 ? held < limit : held == 0) {
          mine[held] = pool.take(static_cast<u32>((draw >> 33) % pages));
          data[mine[held++]] = row + 1;  // not atomic: the pool has to order the accesses
        } else {
          --held;
          wrong[row] += data[mine[held]] != row + 1 ? 1u : 0u;
          data[mine[held]] = 0;
          pool.give_back(mine[held]);
        }
      }
      while (held != 0) pool.give_back(mine[--held]);
    });
  CHECK(wrong == std::vector<u32>(rows, 0));
  std::vector<u32> full(bits.size());
  kvsift::page_pool{full.data(), pages}.fill();
  CHECK(bits == full);
}

TEST_CASE_TEMPLATE("steps of a cache in pages over threads", Payload, kvsift::fp32_payload, kvsift::fp8_payload) {
  kvsift::cache_shape const shape{2, 4, 1, 4, 1};
  kvsift::policy const policy{kvsift::head_budgets{{32, 40, 64, 33, 20, 96, 31, 32}},
                              kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{2, 4})};
  using policy_type = std::remove_const_t<decltype(policy)>;
  kvsift::kv_tensor<policy_type, Payload, kvsift::original_positions, kvsift::dropped, kvsift::in_pages> cache{shape, policy, {.max_piece = 70}};
  kvsift::kv_tensor<policy_type, Payload> alone{shape, policy, {.max_piece = 70}};
  support::marked_vectors const data{5, shape};
  kvsift::parallel_executor const on(4);
  for (u32 seen = 0, tokens = 70; seen < 110; seen += tokens, tokens = 1) {
    for (u32 layer = 0; layer < shape.layers; ++layer) {
      support::marked_vectors::piece const p = data.make_piece(layer, seen, tokens);
      std::vector<float> out(p.queries.size()), want(p.queries.size());
      kvsift::step(on, cache[layer], p.view(), out.data());
      kvsift::step(kvsift::serial_executor{}, alone[layer], p.view(), want.data());
      CHECK(out == want);
    }
    kvsift::evict(on, cache);
    kvsift::evict(kvsift::serial_executor{}, alone);
    REQUIRE(support::misplaced_pages(cache.view()) == "");
  }
  CHECK(support::difference(support::take_snapshot(cache.view()), support::take_snapshot(alone.view())) == "");
}
