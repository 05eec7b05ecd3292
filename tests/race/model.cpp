// The reference model's tasks on groups of 1, 32, 33 and 128 threads: a missing sync() is a race, and results are the serial group's. Where
// a block adds numbers up, several threads add them in an order of their own, which is the same however many they are.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include <reference_model/model/tasks.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace reference_model;
using u32 = std::uint32_t;

/// Numbers about 0, none like the other.
std::vector<float> numbers(std::size_t count, u32 seed) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = std::sin(static_cast<float>(i * 37 + seed * 101 + 1)) * 2;
  return x;
}
std::vector<double> poisoned(std::size_t count) { return std::vector<double>(count, std::numeric_limits<double>::quiet_NaN()); }

/// run(on) launches on an executor and returns what came out.
template <class Run>
void is_the_serial_result(bool adds_up, Run const& run) {
  std::vector<float> const want = run(kvsift::serial_executor{}), several = run(support::thread_group_executor{32});
  REQUIRE(!want.empty());
  for (u32 const threads : {1u, 32u, 33u, 128u}) {
    CAPTURE(threads);
    std::vector<float> const got = run(support::thread_group_executor{threads});
    CHECK(got == (threads == 1 || !adds_up ? want : several));
    for (std::size_t i = 0; i < want.size(); ++i) REQUIRE(std::fabs(got[i] - want[i]) <= 1e-5f * (1 + std::fabs(want[i])));
  }
}

constexpr u32 tokens = 3;

}  // namespace

TEST_CASE("frequencies for the length of a text, and embeddings with their angles") {
  u32 const ids[tokens] = {4, 0, 2}, at[tokens] = {7, 8, 9};
  constexpr u32 dim = 37, pairs = 5;
  std::vector<float> const table = numbers(5 * dim, 1), places = numbers(10 * dim, 2);
  for (bool const learned : {false, true})
    is_the_serial_result(false, [&](auto const& on) {
      kvsift::rotary_encoding encoding;
      encoding.scaling = kvsift::rotary_scaling::dynamic_ntk;
      std::vector<double> frequencies(pairs);
      on.launch(1, frequencies_task{encoding, 2 * pairs, at + 2, frequencies.data()});
      std::vector<float> out(tokens * (dim + 2 * pairs));
      float* const angles = out.data() + tokens * dim;
      on.launch(tokens, embed_task{ids, at, weight_view{table.data(), table.size(), number::fp32}, learned ? places.data() : nullptr, dim, out.data(),
                                   frequencies.data(), pairs, 1.5, angles, angles + tokens * pairs});
      return out;
    });
}

TEST_CASE("norms of both kinds, of rows shorter and longer than what is added up side by side") {
  for (normalisation const how : {normalisation::root_mean_square, normalisation::layer})
    for (u32 const dim : {7u, 300u})
      is_the_serial_result(true, [&](auto const& on) {
        std::vector<float> const x = numbers(tokens * dim, 3), scale = numbers(dim, 4), bias = numbers(dim, 5);
        std::vector<float> out(tokens * dim);
        std::vector<double> scratch = poisoned(tokens * total_scratch);
        on.launch(tokens, norm_task{how, 1e-5, dim, x.data(), scale.data(), bias.data(), out.data(), scratch.data()});
        return out;
      });
}

TEST_CASE("queries, keys and values get biases, norms of heads and a turn, a block for every KV head or for all") {
  constexpr u32 kv_heads = 3, group = 2, head_dim = 10, turning = 8;
  std::vector<float> const biases = numbers(kv_heads * group * head_dim, 6), norm = numbers(head_dim, 7), angles = numbers(tokens * turning, 8);
  for (u32 const each : {1u, 3u})
    for (bool const normed : {false, true})
      for (kvsift::pairing const pairs : {kvsift::pairing::half_split, kvsift::pairing::interleaved})
        is_the_serial_result(normed, [&](auto const& on) {
          u32 const keys = tokens * kv_heads * head_dim;
          std::vector<float> all = numbers(keys * (group + 2), 9);
          token_parts const parts{kv_heads, each};
          std::vector<double> scratch = poisoned(tokens * parts.count() * total_scratch);
          float *const q = all.data(), *const k = q + keys * group, *const v = k + keys;
          float const* const heads = normed ? norm.data() : nullptr;
          on.launch(tokens * parts.count(), heads_task{parts, group, head_dim, turning, pairs, 1e-5, q, k, v,
                                                       biases.data(), biases.data(), biases.data(),
                                                       heads, heads, angles.data(), angles.data() + tokens * turning / 2, scratch.data()});
          return all;
        });
}

TEST_CASE("a residual stream, and every activation, in parts of a token") {
  constexpr u32 size = 77;
  std::vector<float> const bias = numbers(size, 10);
  for (u32 const each : {32u, 77u}) {
    token_parts const parts{size, each};
    u32 const blocks = tokens * parts.count();
    for (bool const biased : {false, true}) {
      float const* const added = biased ? bias.data() : nullptr;
      is_the_serial_result(false, [&](auto const& on) {
        std::vector<float> x = numbers(tokens * size, 11), delta = numbers(tokens * size, 12);
        on.launch(blocks, residual_task{parts, x.data(), delta.data(), added});
        return x;
      });
      for (activation const between : {activation::gated_silu, activation::gelu, activation::exact_gelu})
        is_the_serial_result(false, [&](auto const& on) {
          std::vector<float> gate = numbers(tokens * size, 13), up = numbers(tokens * size, 14);
          bool const gated = between == activation::gated_silu;
          on.launch(blocks, activation_task{parts, between, gated ? gate.data() : nullptr, up.data(), gated ? added : nullptr, added});
          return up;
        });
    }
  }
}

TEST_CASE("numbers are rounded to 16 bits, block by block") {
  std::vector<float> const x = numbers(2 * narrow_task::each + 100, 15);
  for (number const as : {number::fp16, number::bf16})
    is_the_serial_result(false, [&](auto const& on) {
      std::vector<std::uint16_t> narrow(x.size(), 0xffff);
      on.launch(3, narrow_task{x.data(), x.size(), as, narrow.data()});
      return std::vector<float>(narrow.begin(), narrow.end());
    });
}

TEST_CASE("the likeliest token is picked, the lowest of equals, at the next position") {
  for (u32 const likeliest : {0u, 17u, 299u}) {
    std::vector<float> logits = numbers(300, 16);
    logits[likeliest] = 9;
    logits[299] = 9;
    is_the_serial_result(false, [&](auto const& on) {
      u32 const last = 41;
      u32 token = 1000, position = 1000;
      std::vector<u32> scratch(2 * 128, 0xdeadbeef);
      on.launch(1, pick_task{logits.data(), 300, &last, &token, &position, scratch.data()});
      CHECK(token == likeliest);
      CHECK(position == 42);
      return std::vector<float>{static_cast<float>(token), static_cast<float>(position)};
    });
  }
}
