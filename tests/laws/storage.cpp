// Neither where a slot lies nor how its vectors are stored decides anything.
#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <kvsift/payload/plain.hpp>
#include <kvsift/policy/catalogue.hpp>
#include <laws/scenario.hpp>
#include <oracle/replay_oracle.hpp>
#include <oracle/rounded.hpp>
#include <support/approx.hpp>
#include <support/described_policy.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// An attention mass told by the token and the step alone: a multiple of 1/64, with many equals and zeros among them.
float mass_of(u32 layer, u32 sequence, u32 head, u32 position, u32 step) {
  std::uint64_t x = ((layer * 7u + sequence) * 5u + head) * 1000003u + position;
  x = (x * 0x9e3779b97f4a7c15u) ^ (step * 0xbf58476d1ce4e5b9u);
  x = (x ^ (x >> 31)) * 0x94d049bb133111ebu;
  return static_cast<float>((x >> 50) % 16) / 64.0f;
}

/// One token by append and observe, with masses that follow positions wherever their slots lie.
void feed_masses(laws::engine& cache, laws::scenario const& s, u32 position) {
  for (u32 layer = 0; layer < s.shape.layers; ++layer) {
    support::marked_vectors::piece const p = s.data.make_piece(layer, position, 1);
    cache.append({}, layer, p);
    support::snapshot const now = cache.look();
    std::size_t const pitch = cache.capacity();
    std::vector<float> masses(s.shape.layer_rows() * pitch, -1000.0f);
    for (u32 r = 0; r < s.shape.layer_rows(); ++r) {
      support::row_content const& row = now[layer * s.shape.layer_rows() + r];
      for (u32 i = 0; i < row.held; ++i)
        masses[r * pitch + i] = mass_of(layer, r / s.shape.kv_heads, s.data.source(r % s.shape.kv_heads), row.slots[i].position, position);
    }
    cache.observe({}, layer, masses.data(), pitch);
  }
  cache.evict({});
}

/// One step and its eviction; positions held by each head afterwards, and the attention's output.
std::vector<std::vector<int>> feed_token(laws::engine& cache, oracle::trace const& t, int token, std::vector<float>& out) {
  out.assign(static_cast<std::size_t>(t.query_heads * t.dim), 0.0f);
  cache.step({}, 0, {t.query(token, 0), t.key(token, 0), t.value(token, 0), 1, token == 0}, out.data());
  cache.evict({});
  std::vector<std::vector<int>> held;
  for (support::row_content const& row : cache.look()) {
    std::vector<u32> const positions = row.positions();
    held.emplace_back(positions.begin(), positions.end());
    std::sort(held.back().begin(), held.back().end());
  }
  return held;
}

/// What the oracle's heads hold behind `token`: everything that has come, without what has gone.
std::vector<std::vector<int>> held_by_oracle(oracle::replay_result const& r, oracle::trace const& t, int token) {
  std::vector<std::vector<int>> held;
  for (int h = 0; h < t.kv_heads; ++h) {
    std::vector<bool> there(static_cast<std::size_t>(token + 1), true);
    for (oracle::event const& e : r.events)
      if (e.what == oracle::event::kind::evict && e.head == h && e.step <= token)
        for (int const p : e.positions) there[static_cast<std::size_t>(p)] = false;
    held.emplace_back();
    for (int p = 0; p <= token; ++p)
      if (there[static_cast<std::size_t>(p)]) held.back().push_back(p);
  }
  return held;
}

}  // namespace

TEST_CASE("dense and slots take the same decisions and keep the same columns") {
  support::for_each_seed(120, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    INFO(s.text());
    kvsift::cache_options options = s.options();
    options.order = kvsift::layout::slots;
    auto const slots = laws::make_engine(s.shape, s.policy.value(), options);
    options.order = kvsift::layout::dense;
    auto const dense = laws::make_engine(s.shape, s.policy.value(), options);
    for (u32 position = 0; position < 40; ++position) {
      CAPTURE(position);
      feed_masses(*slots, s, position);
      feed_masses(*dense, s, position);
      REQUIRE(support::difference(support::by_position(slots->look()), dense->look()) == "");
    }
  });
}

TEST_CASE("a dense cache lies in the order of positions, after a prompt and after every step") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.order = kvsift::layout::dense;
    INFO(s.text());
    auto const cache = laws::make_engine(s.shape, s.policy.value(), s.options());
    for (support::snapshot const& now : laws::run({}, *cache, s).after) REQUIRE(support::difference(now, support::by_position(now)) == "");
  });
}

TEST_CASE("permuting the heads permutes the results") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.shape.kv_heads = s.data.shape.kv_heads = 4;
    for (kvsift::any_rule* const rule : {&s.policy.first, &s.policy.second}) {
      rule->who = kvsift::unit::per_head;
      bool const draws = rule->score.visit([](auto const& part) { return std::is_same_v<std::decay_t<decltype(part)>, kvsift::random_draw>; });
      if (draws) rule->score = kvsift::oldest_first{};
    }
    INFO(s.text());
    auto const plain = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *plain, s);
    s.data.heads = {2, 0, 3, 1};
    auto const permuted = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const got = laws::run({}, *permuted, s);
    for (std::size_t i = 0; i < want.after.size(); ++i) {
      support::snapshot moved(want.after[i].size());
      for (u32 r = 0; r < moved.size(); ++r) moved[r] = want.after[i][r / 4 * 4 + s.data.heads[r % 4]];
      REQUIRE(support::difference(got.after[i], moved) == "");
    }
    std::size_t const head = std::size_t{s.shape.group} * s.shape.head_dim;
    for (std::size_t i = 0; i < want.out.size(); ++i) {
      std::size_t const h = i / head;
      REQUIRE(got.out[i] == want.out[(h / 4 * 4 + s.data.heads[h % 4]) * head + i % head]);
    }
  });
}

// Up to rounding: a compiler may fuse the products of one storage and not those of another.
TEST_CASE("fp16, bf16 and fp8 storage of numbers that they hold exactly decides and attends as fp32 does") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.data.coarse = true;
    INFO(s.text());
    auto const single = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *single, s);
    for (laws::storage const kept : {laws::storage::fp16, laws::storage::bf16, laws::storage::fp8}) {
      auto const half = laws::make_engine(s.shape, s.policy.value(), s.options(), kept);
      laws::history got = laws::run({}, *half, s);
      for (std::size_t i = 0; i < got.after.size(); ++i)
        for (std::size_t r = 0; r < got.after[i].size(); ++r)
          for (std::size_t j = 0; j < got.after[i][r].slots.size() && j < want.after[i][r].slots.size(); ++j) {
            got.after[i][r].slots[j].key = want.after[i][r].slots[j].key;
            got.after[i][r].slots[j].value = want.after[i][r].slots[j].value;
            got.after[i][r].slots[j].columns = want.after[i][r].slots[j].columns;
          }
      CHECK(support::first_difference(got.out, want.out, s.shape.head_dim, 1e-5, 1e-2) == "");
      got.out = want.out;
      CHECK(laws::difference(got, want) == "");
    }
  });
}

TEST_CASE("decisions and attention in fp16, bf16 and fp8 are those of the definition, whose keys and values are rounded alike") {
  std::pair<laws::storage, oracle::number_format> const formats[] = {
      {laws::storage::fp16, oracle::fp16}, {laws::storage::bf16, oracle::bf16}, {laws::storage::fp8, oracle::fp8}};
  int decided = 0;
  support::for_each_seed(24, [&](std::uint64_t seed) {
    support::draws d(seed);
    oracle::trace const given = support::random_trace(d, support::random_shape(d, 64));
    for (char const* name : {"full", "accumulated_attention", "mean_attention", "tova", "roco", "deviation_scope", "heavy_hitter"}) {
      oracle::description const policy = support::random_description(d, name, given.tokens);
      kvsift::catalogue_policy const made = kvsift::make_policy(support::fields_of(policy));
      kvsift::cache_shape const shape{1, static_cast<u32>(given.kv_heads), static_cast<u32>(given.group()), static_cast<u32>(given.dim), 1};
      kvsift::cache_options const options{.capacity = made.bounded ? 0 : static_cast<u32>(given.tokens), .max_piece = 1};
      for (auto const& stored : formats) {
        oracle::replay_result const want = oracle::replay(oracle::stored_as(given, stored.second), policy, 1);
        int const end = want.first_close_step(1e-5, given.tokens);
        INFO(oracle::to_json(policy), ", storage ", static_cast<int>(stored.first), ", tokens ", given.tokens, ", comparable ", end);
        auto const cache = laws::make_engine(shape, made.value, options, stored.first);
        std::vector<float> out;
        for (int token = 0; token < end; ++token) {
          CAPTURE(token);
          REQUIRE(feed_token(*cache, given, token, out) == held_by_oracle(want, given, token));
          decided += made.bounded && token >= policy.budget ? 1 : 0;
          if (token == 0) continue;
          double const* const first = &want.attention[static_cast<std::size_t>(token - 1) * out.size()];
          std::vector<double> const wanted(first, first + out.size());
          REQUIRE(support::first_difference(out, wanted, static_cast<std::size_t>(given.dim), 1e-4, 0.1) == "");
        }
      }
    }
  });
  CHECK(decided > 1000);
}
