// On a GPU: the attention mass of a window is the CPU's, to rounding, by one block a row and by several, plainly and in a replayed graph.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <device/gpu.hpp>
#include <device/verbs.hpp>
#include <kvsift/cuda/graph.hpp>
#include <kvsift/evict/attention_mass.hpp>
#include <support/random_trace.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

struct window_case {
  cache_shape shape;
  u32 tokens, window;
  group_reduction reduce;
  bool known;  ///< the sums of exponentials
};

std::vector<float> numbers(std::size_t count, support::draws& d) {
  std::vector<float> x(count);
  for (float& v : x) v = static_cast<float>(d.uniform() * 3.4 - 1.7);
  return x;
}

/// log of the sum of exp(logit), from the definition. [sequences, window, query heads]
std::vector<float> log_sums(window_case const& c, float const* queries, float const* keys) {
  cache_shape const& s = c.shape;
  std::vector<float> all;
  for (u32 sequence = 0; sequence < s.sequences; ++sequence)
    for (u32 q = 0; q < c.window; ++q)
      for (u32 h = 0; h < s.query_heads(); ++h) {
        double sum = 0;
        float const* const query = queries + ((std::size_t{sequence} * c.window + q) * s.query_heads() + h) * s.head_dim;
        for (u32 t = 0; t <= c.tokens - c.window + q; ++t) {
          float const* const key = keys + ((std::size_t{sequence} * c.tokens + t) * s.kv_heads + h / s.group) * s.head_dim;
          double dot = 0;
          for (u32 i = 0; i < s.head_dim; ++i) dot += static_cast<double>(query[i]) * static_cast<double>(key[i]);
          sum += std::exp(dot / std::sqrt(static_cast<double>(s.head_dim)));
        }
        all.push_back(static_cast<float>(std::log(sum)));
      }
  return all;
}

}  // namespace

TEST_CASE("a window's mass is the CPU's, again when keys have changed") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  using enum group_reduction;
  for (window_case const& c : {window_case{{1, 2, 4, 128, 1}, 700, 32, mean, false}, {{1, 1, 1, 64, 2}, 1000, 16, max, true},
                               {{1, 2, 3, 10, 1}, 300, 60, sum, false}, {{1, 1, 2, 8, 1}, 40, 40, mean, false},
                               {{1, 1, 4, 16, 1}, 3300, 32, mean, false}}) {  // some block has two tiles
    for (u32 const threads : {32u, 128u, 256u}) {
      CAPTURE(c.tokens);
      CAPTURE(threads);
      device::where const on{s.value, threads};
      support::draws d(5);
      std::size_t const all = std::size_t{c.shape.sequences} * c.tokens * c.shape.kv_heads * c.shape.head_dim;
      std::vector<float> const queries = numbers(std::size_t{c.shape.sequences} * c.window * c.shape.query_heads() * c.shape.head_dim, d);
      std::vector<float> keys = numbers(all, d), lse = log_sums(c, queries.data(), keys.data());
      device::array<float> const there_queries(s.value, queries);
      device::array<float> there_keys(s.value, keys), there_lse(s.value, lse);
      device::array<float> const there(s.value, c.shape.layer_rows() * c.tokens);
      observation_window const given{there_queries.data(), there_keys.data(), c.tokens, c.window, c.reduce, c.known ? there_lse.data() : nullptr};
      std::size_t const bytes = device::attention_mass_bytes(on, c.shape, given);
      device::array<std::byte> const workspace(s.value, bytes);
      cuda::graph const graph = cuda::graph::capture(
          s.value, [&] { device::attention_mass(on, c.shape, given, there.data(), c.tokens, workspace.data(), bytes); });
      for (int round = 0; round < 2; ++round) {
        if (round == 1) {
          keys = numbers(all, d);
          lse = log_sums(c, queries.data(), keys.data());
          there_keys = keys;
          there_lse = lse;
        }
        graph.launch(s.value);
        std::vector<float> const got = there.host();
        observation_window const here{queries.data(), keys.data(), c.tokens, c.window, c.reduce, c.known ? lse.data() : nullptr};
        std::vector<float> want(got.size());
        host_memory const words(attention_mass_bytes(c.shape, here));
        attention_mass(serial_executor{}, c.shape, here, want.data(), c.tokens, words.data(), words.size());
        for (std::size_t i = 0; i < want.size(); ++i) REQUIRE(std::fabs(got[i] - want[i]) <= 1e-5f * (want[i] + 0.1f));
      }
    }
  }
}
