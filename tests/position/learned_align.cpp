// KV-Align: its networks against their formula, and what they do to a cache as tokens go, whoever goes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/position/learned_align.hpp>
#include <oracle/align.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

/// A random network, as the library and as the oracle have it.
struct both {
  oracle::align_network plain;
  align_network fast;

  both(support::draws& d, u32 dim, u32 layers, u32 heads, u32 positions) {
    auto const width = [&] { return static_cast<std::size_t>(d.between(1, 9)); };
    auto const matrix = [&](std::size_t rows, std::size_t columns, double size) {
      std::vector<std::vector<double>> m(rows, std::vector<double>(columns));
      for (auto& row : m)
        for (double& x : row) x = static_cast<double>(static_cast<float>(size * (d.uniform() * 2 - 1)));
      return m;
    };
    std::size_t const p = width(), l = width(), h = width(), wide = static_cast<std::size_t>(d.between(1, 40)),
                      narrow = static_cast<std::size_t>(d.between(1, 40));
    plain = {matrix(positions, p, 1), matrix(layers, l, 1), matrix(heads, h, 1), matrix(wide, dim + p + l + h, 0.4), matrix(narrow, wide, 0.4),
             matrix(dim, narrow, 0.1), matrix(1, wide, 0.3)[0], matrix(1, narrow, 0.3)[0], matrix(1, dim, 0.02)[0]};
    auto const flat = [](std::vector<std::vector<double>> const& m) {
      std::vector<float> all;
      for (auto const& row : m)
        for (double const x : row) all.push_back(static_cast<float>(x));
      return all;
    };
    std::vector<float> const of_position = flat(plain.of_position), of_layer = flat(plain.of_layer), of_head = flat(plain.of_head),
                             w1 = flat(plain.w1), w2 = flat(plain.w2), w3 = flat(plain.w3), b1 = flat({plain.b1}), b2 = flat({plain.b2}),
                             b3 = flat({plain.b3});
    auto const view = [](std::vector<float> const& x) { return span<float const>{x.data(), x.size()}; };
    fast = align_network({view(of_position), view(of_layer), view(of_head), view(w1), view(b1), view(w2), view(b2), view(w3), view(b3)}, dim,
                         layers, heads, positions);
  }
};

using vectors_of_row = std::vector<std::vector<double>>;  // by rank

/// What a head holds, in order of position.
template <class Cache>
std::vector<u32> order_of(Cache const& cache, u32 index) {
  auto const row = cache.view().row(index);
  std::vector<u32> order(row.state->held);
  for (u32 i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](u32 a, u32 b) { return row.positions[a] < row.positions[b]; });
  return order;
}

template <class Executor, class Placement, class Policy>
void follows(Executor const& on, support::draws& d, Policy const& chosen, u32 budget, u32 sinks, Placement placement, std::uint64_t seed) {
  cache_shape const shape{static_cast<u32>(d.between(1, 2)), static_cast<u32>(d.between(1, 3)), 1, static_cast<u32>(d.between(1, 12)), 1};
  both const keys(d, shape.head_dim, shape.layers, shape.kv_heads, budget), values(d, shape.head_dim, shape.layers, shape.kv_heads, budget);
  learned_align const rule{keys.fast.view(), values.fast.view(), sinks};
  kv_tensor<Policy, fp32_payload, learned_align, dropped, Placement> cache(shape, chosen, {.max_piece = budget + 9, .group_threads = 3}, rule,
                                                                           placement);
  support::marked_vectors const data{seed, shape};
  std::vector<vectors_of_row> k(shape.rows()), v(shape.rows());
  std::vector<std::vector<u32>> held(shape.rows());  // positions, ascending
  // What went since the last look is worked out from positions, and each network applied once for each.
  auto const let_go = [&] {
    for (u32 r = 0; r < shape.rows(); ++r) {
      auto const row = cache.view().row(r);
      std::vector<u32> now;
      for (u32 const slot : order_of(cache, r)) now.push_back(row.positions[slot]);
      for (std::size_t rank = 0; rank < held[r].size();) {
        if (std::find(now.begin(), now.end(), held[r][rank]) != now.end()) {
          ++rank;
          continue;
        }
        held[r].erase(held[r].begin() + static_cast<std::ptrdiff_t>(rank));
        for (auto* plane : {&k[r], &v[r]}) plane->erase(plane->begin() + static_cast<std::ptrdiff_t>(rank));
        for (std::size_t j = std::max<std::size_t>(rank, sinks); j < held[r].size(); ++j) {
          k[r][j] = keys.plain(k[r][j], j - sinks, row.layer, row.head);
          v[r][j] = values.plain(v[r][j], j - sinks, row.layer, row.head);
        }
      }
    }
  };
  auto const compare = [&] {
    for (u32 r = 0; r < shape.rows(); ++r) {
      auto const row = cache.view().row(r);
      std::vector<u32> const order = order_of(cache, r);
      REQUIRE(order.size() == held[r].size());
      for (std::size_t j = 0; j < order.size(); ++j)
        for (u32 c = 0; c < shape.head_dim; ++c) {
          REQUIRE(row.positions[order[j]] == held[r][j]);
          auto const stored = [&](auto const& plane) { return static_cast<double>(reinterpret_cast<float const*>(plane.at(order[j]))[c]); };
          REQUIRE(stored(row.keys) == doctest::Approx(k[r][j][c]).epsilon(1e-4));
          REQUIRE(stored(row.values) == doctest::Approx(v[r][j][c]).epsilon(1e-4));
        }
    }
  };
  bool const asks = d.chance(0.7);  // else the next append asks
  for (u32 seen = 0, tokens = budget; seen < 3 * budget; seen += tokens, tokens = 1) {
    for (u32 l = 0; l < shape.layers; ++l) {
      std::vector<float> out(std::size_t{tokens} * shape.query_heads() * shape.head_dim);
      step(on, cache[l], data.make_piece(l, seen, tokens).view(), out.data());
    }
    if (!asks) let_go();  // room was made before the token was written
    for (u32 r = 0; r < shape.rows(); ++r)
      for (u32 t = 0; t < tokens; ++t) {
        auto const row = cache.view().row(r);
        auto const given = [&](support::marked_vectors::kind what) {
          std::vector<float> const x = data.vector(what, row.layer, 0, row.head, seen + t);
          return std::vector<double>(x.begin(), x.end());
        };
        k[r].push_back(given(support::marked_vectors::kind::key));
        v[r].push_back(given(support::marked_vectors::kind::value));
        held[r].push_back(seen + t);
      }
    if (asks) evict(on, cache);
    if (asks) let_go();
    compare();
  }
}

}  // namespace

TEST_CASE("what is held is realigned once for each token that goes below it") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const budget = static_cast<u32>(d.between(6, 40)), sinks = static_cast<u32>(d.between(0, 3));
    follows(serial_executor{}, d, streaming_llm(sinks, budget - sinks), budget, sinks, in_rows{}, seed);
    follows(support::thread_group_executor{3}, d, mean_attention_policy(budget, 2, sinks), budget, sinks, in_pages{}, seed);
  });
}

TEST_CASE("a prompt that does not fit is taken token by token") {
  support::draws d(3);
  u32 const budget = 8, tokens = 17;
  cache_shape const shape{1, 2, 1, 6, 1};
  both const keys(d, 6, 1, 2, budget), values(d, 6, 1, 2, budget);
  learned_align const rule{keys.fast.view(), values.fast.view(), 2};
  support::marked_vectors const data{5, shape};
  kv_tensor at_once{shape, streaming_llm(2, 6), {.max_piece = tokens}, rule}, one_by_one{shape, streaming_llm(2, 6), {}, rule};
  std::vector<float> out(tokens * 12), last(12);
  step(serial_executor{}, at_once[0], data.make_piece(0, 0, tokens).view(), out.data());
  evict(serial_executor{}, at_once);
  for (u32 t = 0; t < tokens; ++t) {
    step(serial_executor{}, one_by_one[0], data.make_piece(0, t, 1).view(), last.data());
    evict(serial_executor{}, one_by_one);
  }
  CHECK(image_of(at_once) == image_of(one_by_one));
  CHECK(std::vector<float>(out.end() - 12, out.end()) == last);
}

TEST_CASE("what a rule that realigns cannot follow is refused") {
  support::draws d(4);
  cache_shape const shape{1, 2, 1, 6, 1};
  both const net(d, 6, 1, 2, 10);
  learned_align const rule{net.fast.view(), net.fast.view(), 4};
  auto const refusal = [&](auto const& chosen, std::uint32_t capacity = 0) -> std::string {
    try {
      kv_tensor cache{shape, chosen, {.capacity = capacity, .max_piece = 30}, rule};
    } catch (bad_argument const& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refusal(streaming_llm(4, 10)).empty());
  CHECK(refusal(streaming_llm(4, 11)) ==
        "slots of a head is 15; its networks are trained for fewer; lower the budget to the sinks and the trained positions");
  std::string const early = "the position rule realigns slots after each token that goes, and a rule of the policy acts before a token is "
                            "written or on pieces; take a policy that acts after attention";
  CHECK(refusal(recent_global(8, 2)) == early);
  CHECK(refusal(strided(8, 3, mean_attention{}, protect{1, 2})) == early);
  std::string const never = "the position rule realigns slots after each token that goes, and no rule of the policy acts after attention: nothing would go; "
                            "take a policy that does";
  CHECK(refusal(keydiff(8)) == never);
  CHECK(refusal(snapkv(8, 2, 3)) == never);
  CHECK(refusal(expected_attention(8)) == never);
  CHECK(refusal(hybrid(recipe_list{}.add({0, 0.3, 0.3}).add({0, 0, 0, true})), 30) ==
        "the position rule takes a prompt token by token, and the budget is measured when one ends; take a budget that is not");
  using aligned = kv_tensor<decltype(streaming_llm(4, 10)), fp32_payload, learned_align>;
  CHECK_THROWS_AS(aligned::plan(shape, streaming_llm(4, 11), {}, rule), bad_argument);
  memory_plan const planned = aligned::plan(shape, streaming_llm(4, 10), {}, rule);
  aligned const made(shape, streaming_llm(4, 10), {}, rule);
  CHECK(planned.workspace == made.workspace_bytes());
  CHECK(refusal(full()) == "capacity is 0; a policy without a limit needs the slots to allocate per head");
  kv_tensor cache{shape, streaming_llm(4, 4), {.max_piece = 30}, rule};
  std::vector<float> const x(30 * 12, 1.0f);
  CHECK_THROWS_AS(make_room(serial_executor{}, cache, 2), bad_argument);
  CHECK_THROWS_AS(compress(serial_executor{}, cache[0], x.data(), x.data(), 20), bad_argument);

  std::vector<float> const some(64, 0.0f);
  span<float const> const s{some.data(), 64}, one{some.data(), 1}, two{some.data(), 2};
  CHECK_THROWS_WITH((align_network({s, s, s, s, one, s, one, s, two}, 6, 1, 1, 4)),
                    "outputs of the third layer is 2; there must be one for each component of a vector");
  CHECK_THROWS_WITH((align_network({s, one, one, s, one, one, one, two, two}, 2, 1, 1, 4)),
                    "numbers of the positions' embedding is 64; it must have a row for each trained position");
}
