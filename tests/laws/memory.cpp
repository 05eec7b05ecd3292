// Heads with budgets of their own take what they may keep, and a token that arrives touches what it must.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/budget/heads.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/payload/plain.hpp>
#include <kvsift/policy/named.hpp>
#include <kvsift/score/attention.hpp>
#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

constexpr kvsift::cache_shape large{.layers = 32, .kv_heads = 8, .group = 4, .head_dim = 128};
constexpr u32 mean = 1024;

/// Budgets of 32 x 8 heads that sum to 1024 each.
std::vector<u32> budgets_with_mean(std::uint64_t seed) {
  support::draws d(seed);
  std::vector<u32> limits(large.layers * large.kv_heads, mean);
  for (std::size_t i = 0; i + 1 < limits.size(); i += 2) {  // one gives to the other
    u32 const given = static_cast<u32>(d.between(0, mean - 64));
    limits[i] -= given;
    limits[i + 1] += given;
  }
  return limits;
}

/// Bytes that one slot takes in all planes.
template <class Policy>
std::size_t slot_bytes(Policy const& policy) {
  return 2 * kvsift::fp16_payload::bytes(large.head_dim) + sizeof(u32) + policy.carried().bytes_per_slot();
}

/// Bytes a cache takes as allocated, without workspace, over those of the slots that its heads may keep.
template <class Placement = kvsift::in_rows, class Policy>
double over(Policy const& policy, std::size_t kept, kvsift::cache_options const& options = {}) {
  using cache_type = kvsift::kv_tensor<Policy, kvsift::fp16_payload, kvsift::original_positions, kvsift::dropped, Placement>;
  cache_type const cache{large, policy, options};
  auto const plan = cache_type::plan(large, policy, options);
  CHECK(cache.allocated_bytes() >= plan.cache.total());
  CHECK(cache.allocated_bytes() <= plan.cache.total() + 16 * 64);  // planes begin on boundaries of 64 bytes
  return static_cast<double>(cache.allocated_bytes()) / static_cast<double>(kept * slot_bytes(policy)) - 1;
}

}  // namespace

TEST_CASE("ragged: bytes are those of the heads' budgets, and of one slot a head for the newest token") {
  for (std::uint64_t const seed : {1u, 2u, 3u}) {
    std::vector<u32> const limits = budgets_with_mean(seed);
    std::size_t const sum = std::accumulate(limits.begin(), limits.end(), std::size_t{0});
    REQUIRE(sum == std::size_t{large.layers} * large.kv_heads * mean);
    kvsift::policy const p{kvsift::head_budgets{limits}, kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{4, 10})};
    CHECK(over(p, sum + limits.size()) < 0.001);
    CHECK(over(p, sum) < 0.002);
  }
}

TEST_CASE("ragged: what heads compete for is known before it is split, and is all that is taken") {
  std::size_t const sum = std::size_t{large.layers} * large.kv_heads * mean;
  CHECK(over(kvsift::ada_snapkv(mean), sum, {.max_piece = 8192}) < 0.001);
  CHECK(over(kvsift::ada_snapkv(mean), sum + 256 * std::size_t{64}, {.max_piece = 8192, .promised = 64}) < 0.001);
}

TEST_CASE("pages: bytes are within 3 % of the heads' budgets, rounding to whole pages and their table included") {
  std::size_t const sum = std::size_t{large.layers} * large.kv_heads * mean;
  for (std::uint64_t const seed : {1u, 2u, 3u}) {
    kvsift::policy const p{kvsift::head_budgets{budgets_with_mean(seed)},
                           kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{4, 10})};
    CHECK(over<kvsift::in_pages>(p, sum) < 0.03);
    CHECK(over<kvsift::in_pages>(p, sum) > 0.005);
  }
  // However the heads of a layer come to share it out: each may end one slot into a page.
  CHECK(over<kvsift::in_pages>(kvsift::ada_snapkv(mean), sum, {.max_piece = 8192}) < 0.03);
}

namespace {

/// Elements of keys and values that differ from what lay there before.
class watched_vectors {
 public:
  template <class View>
  explicit watched_vectors(View const& view) : before_(all(view)) {}
  template <class View>
  std::size_t changed(View const& view) {
    std::vector<float> now = all(view);
    std::size_t count = 0;
    for (std::size_t i = 0; i < now.size(); ++i) count += __builtin_bit_cast(u32, now[i]) != __builtin_bit_cast(u32, before_[i]);
    before_.swap(now);
    return count;
  }

 private:
  template <class View>
  static std::vector<float> all(View const& view) {
    std::size_t const floats = view.slots * view.vector_bytes / sizeof(float);
    auto const of = [](std::byte const* plane) { return reinterpret_cast<float const*>(plane); };
    std::vector<float> list(of(view.keys), of(view.keys) + floats);
    list.insert(list.end(), of(view.values), of(view.values) + floats);
    return list;
  }
  std::vector<float> before_;
};

/// Elements written when one token arrives, the most in 60 steps after a prompt, over heads x head_dim.
template <class Placement, class Policy>
double written_a_token(Policy const& policy, Placement) {
  kvsift::cache_shape const shape{1, 4, 1, 16, 1};
  kvsift::kv_tensor<Policy, kvsift::fp32_payload, kvsift::original_positions, kvsift::dropped, Placement> cache{
      shape, policy, {.max_piece = 50, .promised = 60}};
  support::marked_vectors const data{3, shape};
  std::vector<float> out(std::size_t{50} * shape.query_heads() * shape.head_dim);
  kvsift::serial_executor const on;
  kvsift::step(on, cache[0], data.make_piece(0, 0, 50).view(), out.data());
  kvsift::evict(on, cache);
  std::size_t most = 0;
  watched_vectors memory{cache.view()};
  for (u32 position = 50; position < 110; ++position) {
    kvsift::step(on, cache[0], data.make_piece(0, position, 1).view(), out.data());
    kvsift::evict(on, cache);
    most = std::max(most, memory.changed(cache.view()));
  }
  return static_cast<double>(most) / (shape.kv_heads * shape.head_dim);
}

}  // namespace

TEST_CASE("a token that arrives writes its key and value, and at most one slot of a head moves") {
  using namespace kvsift;
  head_budgets const heads{{20, 9, 64, 14}};
  auto const check = [&](auto placement) {
    auto const written = [&](auto const& policy) { return written_a_token(policy, placement); };
    CHECK(written(policy{heads, at_prompt_end(oldest_first{}, protect{4})}) <= 2);  // grows
    CHECK(written(ada_snapkv(20, 4)) <= 2);
    CHECK(written(policy{heads, at_prompt_end(oldest_first{}, protect{4}), making_room(oldest_first{}, protect{4})}) <= 4);
    double const after = written(policy{heads, over_budget(mean_attention{}, protect{2, 4})});
    CHECK(after <= 4);
    CHECK(after > 2);  // or nothing would have been evicted
  };
  check(in_rows{});
  check(in_pages{});
}
