// Who models the concepts that store and execute: one line each, and one for a hostile type.
#include <cstring>

#include <doctest/doctest.h>

#include <contract/hostile.hpp>
#include <contract/suites.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <support/any_executor.hpp>
#include <support/pages.hpp>
#include <support/poison.hpp>

using namespace contract;

TEST_CASE("executors") {
  runs_every_block_once(kvsift::serial_executor{}, 1);
  runs_every_block_once(kvsift::parallel_executor{3}, 1);
  runs_every_block_once(support::thread_group_executor{5}, 5);
  runs_every_block_once(support::any_executor{support::thread_group_executor{3}}, 3);
  runs_every_block_once(hostile::backwards_executor{}, 1);
}

TEST_CASE("groups") {
  sync_orders(kvsift::serial_executor{}, 1);
  sync_orders(support::thread_group_executor{2}, 2);
  sync_orders(support::thread_group_executor{33}, 33);
}

TEST_CASE("payloads") {
  stores_vectors<kvsift::fp32_payload>();
  stores_vectors<kvsift::fp16_payload>();
  stores_vectors<kvsift::bf16_payload>();
  stores_vectors<kvsift::fp8_payload>(0, 1.0f / 16);
  stores_vectors<kvsift::int8_payload>(0.50001f / 255);
  stores_vectors<kvsift::int4_payload>(0.50001f / 15);
  stores_vectors<kvsift::int2_payload>(0.50001f / 3);
  stores_vectors<hostile::odd_payload>();
}

TEST_CASE("columns") {
  is_a_column(kvsift::attention_sum{});
  is_a_column(kvsift::attention_square_sum{});
  is_a_column(kvsift::last_attention{});
  is_a_column(kvsift::window_attention{});
  is_a_column(kvsift::key_square_norm{});
  is_a_column(kvsift::value_norm{});
  is_a_column(kvsift::observations{});
  is_a_column(kvsift::observations{5, false});
  is_a_column(kvsift::observations{70, true});
  for (u32 const bits : {4u, 8u, 21u, 64u}) {
    kvsift::signature code{bits, 3};
    std::vector<float> table(code.table_floats(3));
    code.bind(3, table.data(), table.data());
    is_a_column(code);
  }
  is_a_column(hostile::origin{});
  is_a_column(hostile::exact_sum{});
}

TEST_CASE("budgets") {
  limits_hold(kvsift::uniform_budget{5}, {2, 2, 1, 4, 1});
  limits_hold(kvsift::layer_budgets{{9, 3, 30}}, {3, 2, 1, 4, 1});
  limits_hold(kvsift::head_budgets{{9, 3, 30, 4}}, {2, 2, 1, 4, 1});
  limits_hold(kvsift::pyramid_budget{12, 4, 5}, {3, 2, 1, 4, 1});
  limits_hold(kvsift::ratio_budget{0.25, 40}, {1, 2, 1, 4, 1});
  limits_hold(hostile::staircase{}, {2, 3, 1, 4, 1});
}

TEST_CASE("position rules") {
  keeps_positions(kvsift::original_positions{}, 20);
  keeps_positions(kvsift::in_cache_positions{}, 8);
  keeps_positions(hostile::counted_positions{}, 12);
}

namespace {

/// Columns and vectors of any size and alignment stay with their token, through prompts, evictions and moves.
template <class Placement>
void everything_travels(u32 limit, u32 prompt) {
  kvsift::cache_shape const shape{2, 3, 1, 9, 1};
  auto const policy = kvsift::policy{kvsift::uniform_budget{limit}, kvsift::over_budget(hostile::wild_score{}, kvsift::protect{1, 2})};
  for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense}) {
    kvsift::kv_tensor<decltype(policy), hostile::odd_payload, kvsift::original_positions, kvsift::dropped, Placement> cache{
        shape, policy, {.max_piece = prompt, .order = order}};
    support::marked_vectors const data{6, shape};
    std::vector<float> out(std::size_t{prompt} * shape.query_heads() * shape.head_dim);
    for (u32 seen = 0, tokens = prompt; seen < prompt + 29; tokens = 1) {
      support::poison(cache);
      support::scatter_pages(cache.view(), seen);
      for (u32 layer = 0; layer < shape.layers; ++layer)
        kvsift::step(hostile::backwards_executor{}, cache[layer], data.make_piece(layer, seen, tokens).view(), out.data());
      kvsift::evict(hostile::backwards_executor{}, cache);
      seen += tokens;
      for (u32 r = 0; r < shape.rows(); ++r) {
        auto const row = cache.view().row(r);
        REQUIRE(reinterpret_cast<std::uintptr_t>(row.template column<hostile::exact_sum>().at(0)) % alignof(double) == 0);
        REQUIRE(reinterpret_cast<std::uintptr_t>(row.template column<kvsift::attention_sum>().at(0)) % alignof(float) == 0);
        for (u32 i = 0; i < row.state->held; ++i) {
          std::uint8_t const* const tag = row.template column<hostile::origin>()[i];
          REQUIRE(tag[0] == row.positions[i]);
          REQUIRE(tag[1] == (row.positions[i] ^ 0x5a));
          REQUIRE(tag[2] == row.head);
          double const sum = static_cast<double>(row.template column<kvsift::attention_sum>()[i]);
          REQUIRE(row.template column<hostile::exact_sum>()[i] == doctest::Approx(sum));
          for (u32 d = 0; d < shape.head_dim; ++d) {
            using kind = support::marked_vectors::kind;
            REQUIRE(hostile::odd_payload::load(row.keys.at(i), d) == data.component(kind::key, row.layer, 0, row.head, row.positions[i], d));
            REQUIRE(hostile::odd_payload::load(row.values.at(i), d) == data.component(kind::value, row.layer, 0, row.head, row.positions[i], d));
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("columns and vectors of any size and alignment travel with their token, through prompts, evictions and layouts") {
  everything_travels<kvsift::in_rows>(7, 11);
  everything_travels<kvsift::in_pages>(7, 11);
  everything_travels<kvsift::in_pages>(64, 75);
}
