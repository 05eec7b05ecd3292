// A prompt whose rows several blocks share: compress and step leave what they leave on the serial executor, bit for bit, whatever the order
// of the blocks and the threads of each.
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>
#include <support/poison.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/snapshot.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using support::split_executor;
using u32 = std::uint32_t;

/// Masses with equals among them, so that ties fall on both sides of chunks.
std::vector<float> some_masses(support::draws& d, std::size_t count) {
  std::vector<float> m(count);
  for (float& x : m) x = static_cast<float>(d.between(0, 40)) / 64;
  return m;
}

/// What was handed over on the way out, in order.
struct kept_record {
  static constexpr bool idle = false;
  std::vector<u32>* positions;

  template <class G, class Victim>
  void dispose(G const& g, Victim const& victim) const {
    if (g.thread_rank() == 0) positions->push_back(victim.position);
  }
};

template <class Payload, class Position, class Placement, class Policy>
std::string apart(cache_shape const& shape, Policy const& policy, u32 tokens, split_executor const& on, support::draws& d) {
  cache_options const options{.capacity = tokens, .max_piece = tokens, .promised = 4, .group_threads = on.threads};
  kv_tensor<Policy, Payload, Position, dropped, Placement> here{shape, policy, options};
  kv_tensor<Policy, Payload, Position, dropped, Placement, support::split_memory> there{shape, policy, options};
  support::marked_vectors const data{7, shape};
  std::vector<float> const sum = some_masses(d, std::size_t{shape.layer_rows()} * tokens), window = some_masses(d, sum.size());
  for (u32 l = 0; l < shape.layers; ++l) {
    auto const p = data.make_piece(l, 0, tokens);
    prompt_masses const m{sum.data(), sum.data(), window.data(), window.data(), tokens, sum.data(), p.queries.data()};
    compress(serial_executor{}, here[l], p.keys.data(), p.values.data(), tokens, m);
    support::poison_scratch(there);
    compress(on, there[l], p.keys.data(), p.values.data(), tokens, m);
  }
  for (u32 r = 0; r < shape.rows(); ++r)
    if (*there.view().row(r).state != *here.view().row(r).state) return "states of row " + std::to_string(r) + " differ";
  return support::difference(support::take_snapshot(there.view()), support::take_snapshot(here.view()));
}

split_executor drawn_executor(support::draws& d) {
  return {static_cast<u32>(d.chance(0.4) ? 1 : d.between(2, 6)), static_cast<split_executor::order>(d.between(0, 2))};
}

}  // namespace

TEST_CASE("every policy keeps of a prompt what it keeps where a row is one block's") {
  support::for_each_seed(6, [](std::uint64_t seed) {
    support::draws d(seed);
    constexpr u32 lengths[] = {1, 30, chunk_slots - 1, chunk_slots, chunk_slots + 1, 2 * chunk_slots, 700};
    u32 const tokens = lengths[d.between(0, 6)];
    auto const budget = static_cast<u32>(d.between(12, 300));
    cache_shape const shape{2, 2, static_cast<u32>(d.between(1, 3)), 8, static_cast<u32>(d.between(1, 2))};
    split_executor const on = drawn_executor(d);
    CAPTURE(tokens);
    CAPTURE(budget);
    CAPTURE(on.threads);
    for (support::named_policy const& named : support::named_policies(budget)) {
      moment const moments = named.value.facts().moments;
      if (tokens > budget && !includes(moments, moment::prompt_end) && moments != moment{}) continue;  // compress says so
      CAPTURE(named.name);
      REQUIRE(apart<fp32_payload, original_positions, in_rows>(shape, named.value, tokens, on, d) == "");
      REQUIRE(apart<fp16_payload, original_positions, in_pages>(shape, named.value, tokens, on, d) == "");
    }
  });
}

TEST_CASE("parts known to the compiler, heads that decide together, of their own budgets, or under a ranked scope") {
  support::for_each_seed(12, [](std::uint64_t seed) {
    support::draws d(seed);
    cache_shape const shape{2, 2, 2, 12, 2};
    auto const tokens = static_cast<u32>(d.between(1, 900));
    split_executor const on = drawn_executor(d);
    CAPTURE(tokens);
    CAPTURE(on.threads);
    REQUIRE(apart<int8_payload, original_positions, in_rows>(shape, snapkv(60, 3, 5), tokens, on, d) == "");
    REQUIRE(apart<bf16_payload, in_cache_positions, in_pages>(shape, roco(300, 2, 20), tokens, on, d) == "");
    REQUIRE(apart<fp32_payload, rerotated_positions, in_rows>(shape, tova(257, true, 1), tokens, on, d) == "");
    REQUIRE(apart<fp8_payload, original_positions, in_pages>(shape, ada_snapkv(70, 3, 5), tokens, on, d) == "");
    policy const ragged{head_budgets{{40, 256, 257, 290}}, over_budget(accumulated_attention{}, protect{2, 4}, most_varying{9})};
    REQUIRE(apart<fp32_payload, original_positions, in_rows>(shape, ragged, tokens, on, d) == "");
    policy const keepers{uniform_budget{100}, at_prompt_end(window_mass{3}, protect{1, 2}, pick::keepers)};
    REQUIRE(apart<fp32_payload, original_positions, in_rows>(shape, keepers, tokens, on, d) == "");
  });
}

TEST_CASE("a long prompt has several chunks a block") {
  support::draws d(9);
  REQUIRE(apart<fp32_payload, original_positions, in_pages>({1, 1, 1, 4, 2}, snapkv(4000, 3, 5), most_writing_blocks * chunk_slots + 300, {2}, d) == "");
}

TEST_CASE("what goes is handed to the disposal, in order") {
  cache_shape const shape{1, 2, 1, 8, 1};
  auto const policy = snapkv(50, 3, 5);
  support::marked_vectors const data{7, shape};
  u32 const tokens = 600;
  auto const p = data.make_piece(0, 0, tokens);
  support::draws d(3);
  std::vector<float> const window = some_masses(d, std::size_t{2} * tokens);
  std::vector<u32> want, got;
  kv_tensor<std::remove_cvref_t<decltype(policy)>, fp32_payload, original_positions, kept_record, in_rows> here{
      shape, policy, {.max_piece = tokens}, kept_record{&want}};
  kv_tensor<std::remove_cvref_t<decltype(policy)>, fp32_payload, original_positions, kept_record, in_rows, support::split_memory> there{
      shape, policy, {.max_piece = tokens}, kept_record{&got}};
  compress(serial_executor{}, here[0], p.keys.data(), p.values.data(), tokens, {.window = window.data(), .pitch = tokens});
  compress(split_executor{}, there[0], p.keys.data(), p.values.data(), tokens, {.window = window.data(), .pitch = tokens});
  CHECK(want.size() == 2 * (tokens - 50));
  CHECK(got == want);
}
