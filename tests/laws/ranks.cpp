// In-cache positions: a slot's rank says how many held slots have a lower position, and turns its key on reading.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {
using laws::u32;
}

TEST_CASE("ranks are a permutation of 0 .. held - 1 in the order of positions") {
  support::for_each_seed(100, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed, 40, true);
    INFO(s.text());
    auto const cache = laws::make_ranked_engine(s.shape, s.policy.value(), s.options(), {});
    for (support::snapshot const& now : laws::run({}, *cache, s).after)
      for (support::row_content const& row : support::by_position(now))
        for (u32 i = 0; i < row.held; ++i) REQUIRE(row.slots[i].rank == i);
  });
}

TEST_CASE_TEMPLATE("after 10,000 evictions nothing has drifted", Payload, kvsift::fp32_payload, kvsift::bf16_payload) {
  // One head, streaming; the same survivors, rotated once and from scratch in double precision. The vectors given are exact in bf16, so
  // that whatever is lost is lost by turning them.
  using kind = support::marked_vectors::kind;
  kvsift::cache_shape const shape{1, 1, 1, 16, 1};
  kvsift::rotary_encoding const rule{100000.0};
  auto const policy = kvsift::streaming_llm(4, 20);
  kvsift::kv_tensor<std::remove_const_t<decltype(policy)>, Payload, kvsift::in_cache_positions> cache{shape, policy, {}, kvsift::in_cache_positions{rule}};
  support::marked_vectors const data{11, shape};
  std::vector<float> out(16);
  u32 const last = 10023;
  for (u32 t = 0; t <= last; ++t) {
    kvsift::step(kvsift::serial_executor{}, cache[0], data.make_piece(0, t, 1).view(), out.data());
    if (t != last) kvsift::evict(kvsift::serial_executor{}, cache);
  }
  auto const row = cache.view().row(0);
  REQUIRE(row.state->held == 25);
  auto const turned = [&](std::vector<float> const& x, u32 rank) {
    std::vector<double> y(x.begin(), x.end());
    for (u32 i = 0; i < 8; ++i) {
      double const angle = rank * std::pow(rule.theta, -2.0 * i / 16), c = std::cos(angle), s = std::sin(angle);
      double const a = static_cast<double>(x[i]), b = static_cast<double>(x[i + 8]);
      y[i] = a * c - b * s;
      y[i + 8] = b * c + a * s;
    }
    return y;
  };
  std::vector<double> const query = turned(data.vector(kind::query, 0, 0, 0, last), 24);
  std::vector<double> want(16, 0.0);
  double sum = 0;
  for (u32 rank = 0; rank < 25; ++rank) {
    u32 const position = rank < 4 ? rank : last - 24 + rank;
    std::vector<double> const key = turned(data.vector(kind::key, 0, 0, 0, position), rank);
    double logit = 0;
    for (u32 d = 0; d < 16; ++d) logit += query[d] * key[d];
    double const weight = std::exp(logit / 4);
    sum += weight;
    std::vector<float> const value = data.vector(kind::value, 0, 0, 0, position);
    for (u32 d = 0; d < 16; ++d) want[d] += weight * static_cast<double>(value[d]);
  }
  for (u32 d = 0; d < 16; ++d) CHECK(static_cast<double>(out[d]) == doctest::Approx(want[d] / sum).epsilon(1e-5));
}

TEST_CASE("attention in the cache is attention over keys turned to their ranks, in double precision") {
  using kind = support::marked_vectors::kind;
  support::for_each_seed(30, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed, 24, true);
    s.pieces = std::vector<u32>(24, 1);
    INFO(s.text());
    kvsift::rotary_encoding const rule{500.0, seed % 2 == 0 ? kvsift::pairing::half_split : kvsift::pairing::interleaved,
                                       seed % 3 == 0 ? 2u : 0u};
    auto const cache = laws::make_ranked_engine(s.shape, s.policy.value(), s.options(), {rule});
    u32 const dim = s.shape.head_dim, turning = rule.rotary_dim != 0 ? rule.rotary_dim : dim;
    auto const turned = [&](std::vector<float> const& x, u32 rank) {
      std::vector<double> y(x.begin(), x.end());
      for (u32 i = 0; i < turning / 2; ++i) {
        u32 const a = rule.pairs == kvsift::pairing::half_split ? i : 2 * i;
        u32 const b = rule.pairs == kvsift::pairing::half_split ? i + turning / 2 : 2 * i + 1;
        double const angle = rank * std::pow(rule.theta, -2.0 * i / turning);
        y[a] = static_cast<double>(x[a]) * std::cos(angle) - static_cast<double>(x[b]) * std::sin(angle);
        y[b] = static_cast<double>(x[b]) * std::cos(angle) + static_cast<double>(x[a]) * std::sin(angle);
      }
      return y;
    };
    for (u32 position = 0; position < 24; ++position) {
      CAPTURE(position);
      for (u32 layer = 0; layer < s.shape.layers; ++layer) {
        support::marked_vectors::piece const p = s.data.make_piece(layer, position, 1);
        std::vector<float> out(p.queries.size());
        cache->step({}, layer, p.view(), out.data());
        support::snapshot const now = cache->look();  // before evict: what was attended to
        for (u32 q = 0; q < s.shape.sequences * s.shape.query_heads(); ++q) {
          u32 const sequence = q / s.shape.query_heads(), query_head = q % s.shape.query_heads(), head = query_head / s.shape.group;
          support::row_content row = now[s.shape.row(layer, sequence, head)];
          std::sort(row.slots.begin(), row.slots.end(), [](auto const& a, auto const& b) { return a.position < b.position; });
          std::vector<double> const query = turned(s.data.vector(kind::query, layer, sequence, query_head, position), row.held - 1);
          std::vector<double> weights, want(dim, 0.0);
          double total = 0;
          for (u32 i = 0; i < row.held; ++i) {
            std::vector<double> const key = turned(s.data.vector(kind::key, layer, sequence, head, row.slots[i].position), i);
            double const dot = std::inner_product(key.begin(), key.end(), query.begin(), 0.0);
            total += weights.emplace_back(std::exp(dot / std::sqrt(static_cast<double>(dim))));
          }
          for (u32 i = 0; i < row.held; ++i)
            for (u32 d = 0; d < dim; ++d)
              want[d] += weights[i] / total *
                         static_cast<double>(s.data.component(kind::value, layer, sequence, head, row.slots[i].position, d));
          for (u32 d = 0; d < dim; ++d) REQUIRE(out[q * dim + d] == doctest::Approx(want[d]).epsilon(1e-4).scale(1.0));
        }
      }
      cache->evict({});
    }
  });
}
