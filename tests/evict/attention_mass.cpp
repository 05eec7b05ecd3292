// The attention mass of a window of queries, against its definition, against what step sees, and over threads.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <oracle/attention.hpp>
#include <support/allocations.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/split_rows.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

struct prompt {
  oracle::trace trace;
  cache_shape shape;
  u32 tokens = 0, window = 0;

  explicit prompt(std::uint64_t seed) {
    support::draws d(seed);
    trace = support::random_trace(d, support::random_shape(d));
    shape = {1, static_cast<u32>(trace.kv_heads), static_cast<u32>(trace.group()), static_cast<u32>(trace.dim), 1};
    tokens = static_cast<u32>(d.between(1, trace.tokens));
    window = static_cast<u32>(d.between(1, static_cast<int>(std::min(tokens, 20u))));
  }
  observation_window given(group_reduction reduce) const {
    return {trace.query(static_cast<int>(tokens - window), 0), trace.key(0, 0), tokens, window, reduce};
  }
  std::vector<int> seen_by(u32 token) const {
    std::vector<int> positions;
    for (u32 p = 0; p <= token; ++p) positions.push_back(static_cast<int>(p));
    return positions;
  }
  /// mass of key j for KV head h, from the definition.
  std::vector<double> mass(int h, group_reduction reduce) const {
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(trace.group()), std::vector<double>(tokens, 0.0));
    for (u32 token = tokens - window; token < tokens; ++token)
      for (int g = 0; g < trace.group(); ++g) {
        std::vector<double> const row = oracle::attention_row(trace, static_cast<int>(token), h * trace.group() + g, seen_by(token));
        for (std::size_t j = 0; j < row.size(); ++j) sums[static_cast<std::size_t>(g)][j] += row[j];
      }
    std::vector<double> result(tokens, 0.0);
    for (u32 j = 0; j < tokens; ++j)
      for (std::vector<double> const& of_head : sums)
        result[j] = reduce == group_reduction::max ? std::fmax(result[j], of_head[j])
                                                   : result[j] + of_head[j] / (reduce == group_reduction::mean ? trace.group() : 1);
    return result;
  }
  /// [window, query heads]
  std::vector<float> log_sums() const {
    std::vector<float> all;
    for (u32 token = tokens - window; token < tokens; ++token)
      for (int q = 0; q < trace.query_heads; ++q) {
        double sum = 0;
        for (u32 p = 0; p <= token; ++p) {
          double dot = 0;
          for (int i = 0; i < trace.dim; ++i)
            dot += static_cast<double>(trace.query(static_cast<int>(token), q)[i]) *
                   static_cast<double>(trace.key(static_cast<int>(p), q / trace.group())[i]);
          sum += std::exp(dot / std::sqrt(static_cast<double>(trace.dim)));
        }
        all.push_back(static_cast<float>(std::log(sum)));
      }
    return all;
  }
};

template <class Executor>
std::vector<float> mass_of(Executor const& on, u32 threads, prompt const& p, observation_window const& given) {
  std::size_t const pitch = p.tokens + 3, bytes = attention_mass_bytes<Executor>(p.shape, given, threads);
  host_memory const workspace(bytes);
  std::memset(workspace.data(), 0xff, bytes);  // nothing is read that was not written
  std::vector<float> mass(p.shape.layer_rows() * pitch, -1.0f);
  support::allocation_scope const allocations;
  attention_mass(on, p.shape, given, mass.data(), pitch, workspace.data(), bytes, threads);
  if (threads == 1 && std::is_same_v<Executor, serial_executor>) CHECK(allocations.count() == 0);
  for (std::size_t r = 0; r < p.shape.layer_rows(); ++r)
    for (std::size_t i = p.tokens; i < pitch; ++i) CHECK(mass[r * pitch + i] == -1.0f);
  return mass;
}

group_reduction const reductions[] = {group_reduction::mean, group_reduction::max, group_reduction::sum};

}  // namespace

TEST_CASE("the mass of a window is its definition, the same bits for any number of threads") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    prompt const p(seed);
    std::vector<float> const log_sums = p.log_sums();
    for (group_reduction const reduce : reductions) {
      CAPTURE(static_cast<int>(reduce));
      observation_window given = p.given(reduce);
      for (bool const known : {false, true}) {
        CAPTURE(known);
        given.lse = known ? log_sums.data() : nullptr;
        std::vector<float> const mass = mass_of(serial_executor{}, 1, p, given);
        for (int h = 0; h < p.trace.kv_heads; ++h) {
          std::vector<double> const want = p.mass(h, reduce);
          for (u32 j = 0; j < p.tokens; ++j)
            CHECK(std::fabs(static_cast<double>(mass[static_cast<std::size_t>(h) * (p.tokens + 3) + j]) - want[j]) <
                  2e-5 * (want[j] + 0.1));
        }
        for (u32 const threads : {3u, 8u}) CHECK(mass_of(support::thread_group_executor{threads}, threads, p, given) == mass);
      }
    }
  });
}

TEST_CASE("with log sums given, keys are taken in tiles and the answer is the same") {
  support::draws d(3);
  oracle::trace const t = support::random_trace(d, {700, 2, 1, 8});
  prompt p(1);
  p.trace = t;
  p.shape = {1, 1, 2, 8, 1};
  p.tokens = 700;
  p.window = 300;  // reaches over a border of tiles
  observation_window given = p.given(group_reduction::mean);
  std::vector<float> const want = mass_of(serial_executor{}, 1, p, given);
  std::vector<float> const log_sums = p.log_sums();
  given.lse = log_sums.data();
  CHECK(attention_mass_bytes(p.shape, given) < attention_mass_bytes(p.shape, p.given(group_reduction::mean)) / 2);
  std::vector<float> const got = mass_of(serial_executor{}, 1, p, given);
  for (u32 j = 0; j < p.tokens; ++j) CHECK(std::fabs(got[j] - want[j]) < 1e-5f * (want[j] + 0.1f));
}

TEST_CASE("where rows are split, blocks have tiles of their own, and find the log sums first if they are not given") {
  support::for_each_seed(4, [](std::uint64_t seed) {
    support::draws d(seed);
    int const dim = d.between(0, 1) == 0 ? 3 : 36, group = d.between(1, 3);
    int const tokens = seed % 2 == 0 ? 64 * 65 + d.between(0, 300) : d.between(1, 600);  // some part has two tiles, or most have none
    oracle::trace const t = support::random_trace(d, {tokens, 2 * group, 2, dim});
    prompt p(1);
    p.trace = t;
    p.shape = {1, 2, static_cast<u32>(group), static_cast<u32>(dim), 1};
    p.tokens = static_cast<u32>(tokens);
    p.window = static_cast<u32>(d.between(1, std::min(tokens, 270)));  // several passes of 128 heads, or few heads and more keys a tile
    CAPTURE(dim);
    CAPTURE(group);
    CAPTURE(p.window);
    std::vector<float> const log_sums = p.log_sums();
    for (group_reduction const reduce : reductions) {
      observation_window given = p.given(reduce);
      std::vector<float> const want = mass_of(serial_executor{}, 1, p, given), found = mass_of(support::split_executor{}, 1, p, given);
      CHECK(mass_of(support::split_executor{3, support::split_executor::order::backwards}, 3, p, given) == found);
      given.lse = log_sums.data();
      std::vector<float> const known = mass_of(serial_executor{}, 1, p, given), parts = mass_of(support::split_executor{}, 1, p, given);
      for (std::size_t i = 0; i < parts.size(); ++i) REQUIRE(std::fabs(parts[i] - known[i]) <= 1e-6f * (std::fabs(known[i]) + 0.1f));
      for (u32 h = 0; h < 2; ++h)
        for (u32 j = 0; j < p.tokens; ++j) {
          float const w = want[h * (p.tokens + 3) + j], f = found[h * (p.tokens + 3) + j];
          REQUIRE(std::fabs(f - w) < 1e-5f * (w + 0.1f));
        }
    }
  });
}

TEST_CASE("step feeds its column the same mass, and compress with it keeps what step keeps") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    prompt const p(seed);
    for (group_reduction const reduce : reductions) {
      CAPTURE(static_cast<int>(reduce));
      policy const remember{uniform_budget{p.tokens}, over_budget(window_mass{p.window, reduce}, protect{})};
      kv_tensor cache{p.shape, remember, {.max_piece = p.tokens}};
      std::vector<float> out(std::size_t{p.tokens} * p.shape.query_heads() * p.shape.head_dim);
      arrivals const piece{p.trace.query(0, 0), p.trace.key(0, 0), p.trace.value(0, 0), p.tokens};
      step(serial_executor{}, cache[0], piece, out.data());
      std::vector<float> mass = mass_of(serial_executor{}, 1, p, p.given(reduce));
      std::size_t const pitch = p.tokens + 3;
      for (u32 h = 0; p.tokens > 1 && h < p.shape.kv_heads; ++h) {
        float const* const fed = cache.view().row(h).column<window_attention>().at(0);
        for (u32 j = 0; j < p.tokens; ++j) {  // a compiler may fuse products in one and not in the other
          CHECK(std::fabs(mass[h * pitch + j] - fed[j]) <= 1e-5f * (fed[j] + 0.1f));
          mass[h * pitch + j] = fed[j];
        }
      }

      if (p.window + 1 >= p.tokens) continue;
      auto const snap = snapkv(p.window + 1, p.window, 3, pooling::max, reduce);
      kv_tensor stepped{p.shape, snap, {.max_piece = p.tokens}}, compressed{p.shape, snap, {.max_piece = p.tokens}};
      step(serial_executor{}, stepped[0], piece, out.data());
      compress(serial_executor{}, compressed[0], p.trace.key(0, 0), p.trace.value(0, 0), p.tokens, {.window = mass.data(), .pitch = pitch});
      for (u32 h = 0; h < p.shape.kv_heads; ++h)
        for (u32 i = 0; i <= p.window; ++i) CHECK(stepped.view().row(h).positions[i] == compressed.view().row(h).positions[i]);
    }
  });
}

TEST_CASE("a batch has its sequences apart") {
  prompt const a(11), b = [&] {
    prompt other(12);
    support::draws d(99);
    other.trace = support::random_trace(d, {a.trace.tokens, a.trace.query_heads, a.trace.kv_heads, a.trace.dim});
    other.shape = a.shape, other.tokens = a.tokens, other.window = a.window;
    return other;
  }();
  std::vector<float> queries, keys;
  for (prompt const* p : {&a, &b}) {
    float const* const q = p->given(group_reduction::mean).queries;
    queries.insert(queries.end(), q, q + std::size_t{p->window} * p->shape.query_heads() * p->shape.head_dim);
    keys.insert(keys.end(), p->trace.key(0, 0), p->trace.key(0, 0) + std::size_t{p->tokens} * p->shape.kv_heads * p->shape.head_dim);
  }
  prompt both = a;
  both.shape.sequences = 2;
  std::vector<float> const got = mass_of(serial_executor{}, 1, both, {queries.data(), keys.data(), a.tokens, a.window});
  std::vector<float> want = mass_of(serial_executor{}, 1, a, a.given(group_reduction::mean));
  std::vector<float> const second = mass_of(serial_executor{}, 1, b, b.given(group_reduction::mean));
  want.insert(want.end(), second.begin(), second.end());
  CHECK(got == want);
}

TEST_CASE("a window that cannot be is refused") {
  prompt const p(1);
  std::vector<float> mass(1000);
  std::vector<std::byte> workspace(1 << 20);
  auto const ask = [&](observation_window w, std::size_t pitch, std::size_t bytes) {
    attention_mass(serial_executor{}, p.shape, w, mass.data(), pitch, workspace.data(), bytes);
  };
  observation_window w = p.given(group_reduction::mean);
  CHECK_THROWS_WITH(ask(w, p.tokens, 8), "workspace_bytes is 8; give what attention_mass_bytes says");
  CHECK_THROWS_WITH(ask(w, p.tokens - 1, workspace.size()), doctest::Contains("give rows at least as long as the prompt"));
  w.window = p.tokens + 1;
  CHECK_THROWS_WITH(ask(w, p.tokens, workspace.size()), doctest::Contains("give 1 to as many queries as there are tokens"));
  w.window = 0;
  CHECK_THROWS_WITH(ask(w, p.tokens, workspace.size()), "window is 0; give 1 to as many queries as there are tokens");
}

TEST_CASE("where rows are split a block's memory is what the guide says, and has its limit") {
  auto const window = [](u32 group, u32 queries, group_reduction reduce) { return split_window{{{1, 8, group, 128, 1}, {nullptr, nullptr, 4096, queries, reduce}}}; };
  CHECK(window(4, 32, group_reduction::mean).block_bytes(128) == 60160);
  CHECK(window(128, 4, group_reduction::max).fits());
  CHECK(!window(129, 4, group_reduction::mean).fits());
  CHECK(window(25, 2, group_reduction::sum).fits());
  CHECK(!window(25, 1, group_reduction::sum).fits());
}
