// compress against step: given the masses that step's own attention would find, the same tokens stay with the same columns.
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/policy/catalogue.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using namespace kvsift;

/// Reads every kind of mass, so that a cache of its policy remembers them all.
struct every_mass {
  std::uint32_t window = 16;
  double young = 0;
  constexpr auto columns() const {
    return unite(column_set<attention_sum, attention_square_sum, last_attention>{},
                 column_set<window_attention, young_attention>{window_attention{window}, young_attention{young}});
  }
  float operator()(auto const&, std::uint32_t) const { return 0; }
};

struct masses {
  std::vector<float> sum, squares, last, window, young;  // [kv_heads, tokens]
};

/// The masses of a prompt, from a cache that has room for all of it.
masses masses_of(oracle::trace const& t, cache_shape const& shape, std::uint32_t tokens, std::uint32_t window, double young) {
  policy const remember{uniform_budget{tokens}, over_budget(every_mass{window, young}, protect{})};
  kv_tensor cache{shape, remember, {.max_piece = tokens}};
  std::vector<float> out(std::size_t{tokens} * shape.query_heads() * shape.head_dim);
  step(serial_executor{}, cache[0], {t.query(0, 0), t.key(0, 0), t.value(0, 0), tokens}, out.data());
  masses m;
  for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
    auto const row = cache.view().row(h);
    auto const copy = [&](float const* plane, std::vector<float>& to) { to.insert(to.end(), plane, plane + tokens); };
    copy(row.column<attention_sum>().at(0), m.sum);
    copy(row.column<attention_square_sum>().at(0), m.squares);
    copy(row.column<last_attention>().at(0), m.last);
    copy(row.column<window_attention>().at(0), m.window);
    if (young > 0) copy(row.column<young_attention>().at(0), m.young);
  }
  return m;
}

template <class Cache>
void check_equal(Cache const& a, Cache const& b) {
  for (std::uint32_t r = 0; r < a.shape().rows(); ++r) {
    auto const one = a.view().row(r), other = b.view().row(r);
    REQUIRE(one.state->held == other.state->held);
    CHECK(one.state->next == other.state->next);
    CHECK(one.state->observed_from == other.state->observed_from);
    for (std::uint32_t slot = 0; slot < one.state->held; ++slot) {
      CHECK(one.positions[slot] == other.positions[slot]);
      CHECK(std::string(reinterpret_cast<char*>(one.keys.at(slot)), one.keys.stride) ==
            std::string(reinterpret_cast<char*>(other.keys.at(slot)), other.keys.stride));
      CHECK(std::string(reinterpret_cast<char*>(one.values.at(slot)), one.values.stride) ==
            std::string(reinterpret_cast<char*>(other.values.at(slot)), other.values.stride));
    }
    a.view().stored.for_each([&]<class C>(C const& column, std::size_t) {
      for (std::uint32_t slot = 0; slot < one.state->held; ++slot)
        for (std::uint32_t i = 0; i < column.width(); ++i)
          CHECK(one.template column<C>().at(slot)[i] == other.template column<C>().at(slot)[i]);
    });
  }
}

TEST_CASE("compress keeps what step keeps, for every policy of the catalogue") {
  support::for_each_seed(20, [](std::uint64_t seed) {
    support::draws d(seed);
    support::trace_shape const drawn = support::random_shape(d);
    oracle::trace const t = support::random_trace(d, drawn);
    cache_shape const shape{1, static_cast<std::uint32_t>(t.kv_heads), static_cast<std::uint32_t>(t.group()),
                            static_cast<std::uint32_t>(t.dim), 1};
    std::uint32_t const tokens = static_cast<std::uint32_t>(d.between(2, t.tokens));
    std::uint32_t const budget = static_cast<std::uint32_t>(d.between(16, 40));
    for (catalogue_entry const& entry : catalogue) {
      INFO(entry.name << ", " << tokens << " tokens, budget " << budget);
      any_policy const p = make_policy(with_defaults(policy_fields(entry.name), budget)).value;
      if (p.facts().stride != 0 && tokens > budget) continue;  // takes it in pieces, which step does
      cache_options const options{.capacity = tokens, .max_piece = tokens};
      kv_tensor<any_policy> stepped{shape, p, options}, compressed{shape, p, options};
      std::vector<float> out(std::size_t{tokens} * shape.query_heads() * shape.head_dim);
      step(serial_executor{}, stepped[0], {t.query(0, 0), t.key(0, 0), t.value(0, 0), tokens}, out.data());
      asked_evidence const asked = p.columns().asked();
      masses const m = masses_of(t, shape, tokens, asked.window != 0 ? asked.window : 16, asked.young);
      compress(serial_executor{}, compressed[0], t.key(0, 0), t.value(0, 0), tokens,
               {m.sum.data(), m.squares.data(), m.last.data(), m.window.data(), tokens, m.young.data(), t.query(0, 0)});
      CHECK(compressed.held(0) == stepped.held(0));
      check_equal(stepped, compressed);
    }
  });
}

TEST_CASE("compress refuses what it cannot serve, and changes nothing") {
  cache_shape const shape{1, 1, 1, 4, 1};
  kv_tensor cache{shape, roco(8, 2, 2), {.max_piece = 16}};
  std::vector<float> const x(16 * 4, 1.0f), mass(16, 0.5f);
  serial_executor const on;
  CHECK_THROWS_WITH(compress(on, cache[0], x.data(), x.data(), 16),
                    "masses.sum is 0; the policy's columns feed on it; give the engine's attention mass");
  CHECK_THROWS_WITH(compress(on, cache[0], x.data(), x.data(), 16, {.sum = mass.data(), .pitch = 16}),
                    "masses.squares is 0; the policy's columns feed on it; give the engine's attention mass");
  prompt_masses const both{.sum = mass.data(), .squares = mass.data(), .pitch = 16};
  CHECK_THROWS_WITH(compress(on, cache[0], x.data(), x.data(), 17, both),
                    "tokens is 17; a piece has 1 to 16 tokens; plan for longer ones with cache_options.max_piece");
  CHECK_THROWS_WITH(compress(on, cache[1], x.data(), x.data(), 16, both), "layer is 1; the cache has fewer layers");
  CHECK(cache.held(0) == 0);
  CHECK(cache.view().row(0).state->next == 0);
  compress(on, cache[0], x.data(), x.data(), 16, both);
  CHECK(cache.held(0) == 8);
  CHECK_THROWS_WITH(compress(on, cache[0], x.data(), x.data(), 1, both),
                    "tokens held is 8; compress takes the first piece of a sequence; clear that first");
  cache.clear();
  compress(on, cache[0], x.data(), x.data(), 1, both);
  CHECK(cache.held(0) == 1);
}

}  // namespace
