// Where keys stand, however a position rule brings them there: attention over what is held, turned and biased from scratch in double
// precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/any_executor.hpp>
#include <support/marked_vectors.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/snapshot.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;
using kind = support::marked_vectors::kind;

/// x of one head at `place`, component by component.
std::vector<double> turned(std::vector<float> const& x, rotary_encoding const& e, double place) {
  std::vector<double> y(x.begin(), x.end());
  auto const dim = static_cast<u32>(x.size()), turning = e.theta == 0 ? 0 : e.rotary_dim != 0 ? e.rotary_dim : dim;
  for (u32 i = 0; i < turning / 2; ++i) {
    u32 const a = e.pairs == pairing::half_split ? i : 2 * i, b = e.pairs == pairing::half_split ? i + turning / 2 : 2 * i + 1;
    double const angle = place * std::pow(e.theta, -2.0 * i / turning) / (e.scaling == rotary_scaling::linear ? e.factor : 1);
    y[a] = e.amplitude * (static_cast<double>(x[a]) * std::cos(angle) - static_cast<double>(x[b]) * std::sin(angle));
    y[b] = e.amplitude * (static_cast<double>(x[b]) * std::cos(angle) + static_cast<double>(x[a]) * std::sin(angle));
  }
  return y;
}

/// As ALiBi's authors write it.
double slope(double steepness, u32 head, u32 heads) {
  if ((heads & (heads - 1)) == 0) return std::pow(2.0, -steepness * (head + 1) / heads);
  u32 below = 1;
  while (2 * below <= heads) below *= 2;
  return head < below ? slope(steepness, head, below) : slope(steepness, 2 * (head - below), 2 * below);
}

/// What is fed, and how: see worst_difference.
struct course {
  cache_shape shape;
  rotary_encoding encoding{};
  double steepness = 0;
  u32 tokens = 60;
  u32 threads = 1;
  u32 first_piece = 1;
  u32 room = 0;
  bool by_rank = true;  ///< places are ranks, else positions
};

/// Vectors of a piece as the rule wants them: turned to their place, or not.
template <class Cache>
support::marked_vectors::piece piece_of(Cache const& cache, support::marked_vectors const& data, course const& c, u32 layer, u32 first, u32 tokens, u32 held) {
  support::marked_vectors::piece p = data.make_piece(layer, first, tokens);
  if (cache.keys_are() == keys_are::unrotated) return p;
  u32 const dim = c.shape.head_dim;
  for (auto* all : {&p.queries, &p.keys}) {
    std::size_t const heads = all->size() / dim / tokens;
    for (std::size_t v = 0; v < all->size() / dim; ++v) {
      auto const t = static_cast<u32>(v / heads);
      std::vector<float> const given(all->begin() + static_cast<std::ptrdiff_t>(v * dim), all->begin() + static_cast<std::ptrdiff_t>((v + 1) * dim));
      std::vector<double> const y = turned(given, c.encoding, cache.position().next(first + t, held + t));
      for (u32 d = 0; d < dim; ++d) (*all)[v * dim + d] = static_cast<float>(y[d]);
    }
  }
  return p;
}

/// How far what query `t` of a piece was given is from attention over the slots held that are no newer than it.
template <class Cache>
double difference(Cache const& cache, support::marked_vectors const& data, course const& c, u32 layer, u32 position, float const* out) {
  u32 const dim = c.shape.head_dim;
  double worst = 0;
  for (u32 q = 0; q < c.shape.query_heads(); ++q) {
    auto const row = cache.view().row(c.shape.row(layer, 0, q / c.shape.group));
    std::vector<u32> positions;
    for (u32 i = 0; i < row.state->held; ++i)
      if (row.positions[i] <= position) positions.push_back(row.positions[i]);
    std::sort(positions.begin(), positions.end());
    auto const place = [&](std::size_t i) { return c.by_rank ? static_cast<double>(i) : static_cast<double>(positions[i]); };
    std::size_t const last = positions.size() - 1;
    std::vector<double> const query = turned(data.vector(kind::query, layer, 0, q, position), c.encoding, place(last));
    std::vector<double> want(dim, 0.0);
    double total = 0;
    for (std::size_t i = 0; i < positions.size(); ++i) {
      std::vector<double> const key = turned(data.vector(kind::key, layer, 0, row.head, positions[i]), c.encoding, place(i));
      double logit = 0;
      for (u32 d = 0; d < dim; ++d) logit += query[d] * key[d] / std::sqrt(static_cast<double>(dim));
      if (c.steepness != 0) logit -= slope(c.steepness, q, c.shape.query_heads()) * (place(last) - place(i));
      double const weight = std::exp(logit);
      total += weight;
      for (u32 d = 0; d < dim; ++d) want[d] += weight * static_cast<double>(data.component(kind::value, layer, 0, row.head, positions[i], d));
    }
    for (u32 d = 0; d < dim; ++d) worst = std::max(worst, std::abs(static_cast<double>(out[q * dim + d]) - want[d] / total));
  }
  return worst;
}

/// A first piece, tokens one by one, and, if there is to be `room`, as many at once when others have gone for them.
template <class Cache>
double worst_difference(Cache& cache, course const& c, std::uint64_t seed) {
  support::any_executor const on = c.threads == 1 ? support::any_executor() : support::any_executor(support::thread_group_executor{c.threads});
  support::marked_vectors const data{seed, c.shape};
  double worst = 0;
  u32 seen = 0;
  auto const feed = [&](u32 tokens, bool nothing_goes) {
    for (u32 layer = 0; layer < c.shape.layers; ++layer) {
      support::marked_vectors::piece const p = piece_of(cache, data, c, layer, seen, tokens, cache.held(layer));
      std::vector<float> out(p.queries.size());
      step(on, cache[layer], p.view(), out.data());
      for (u32 t = 0; t < tokens && nothing_goes; ++t)
        worst = std::max(worst, difference(cache, data, c, layer, seen + t, out.data() + std::size_t{t} * c.shape.query_heads() * c.shape.head_dim));
    }
    seen += tokens;
    evict(on, cache);
  };
  if (c.first_piece > 1) feed(c.first_piece, false);  // what it saw may be gone when a rule has cut it
  while (seen < c.tokens) feed(1, true);
  if (c.room != 0) {
    make_room(on, cache, c.room);
    feed(c.room, true);
  }
  return worst;
}

course random_course(support::draws& d) {
  course c{{static_cast<u32>(d.between(1, 2)), static_cast<u32>(d.between(1, 3)), static_cast<u32>(d.between(1, 3)), 2 * static_cast<u32>(d.between(1, 20)), 1}};
  c.encoding = {.theta = 500, .pairs = d.chance(0.5) ? pairing::half_split : pairing::interleaved};
  if (d.chance(0.3)) c.encoding.rotary_dim = 2 * static_cast<u32>(d.between(1, static_cast<int>(c.shape.head_dim) / 2));
  if (d.chance(0.3)) c.encoding.scaling = rotary_scaling::linear, c.encoding.factor = 3;
  if (d.chance(0.3)) c.encoding.amplitude = 1.2;
  c.threads = d.chance(0.3) ? 3 : 1;
  c.first_piece = d.chance(0.4) ? static_cast<u32>(d.between(2, 30)) : 1;
  c.room = static_cast<u32>(d.between(0, 4));
  return c;
}

cache_options options_of(course const& c) { return {.max_piece = std::max({c.first_piece, c.room, 1u}), .group_threads = c.threads}; }

}  // namespace

TEST_CASE("ranks as positions by three ways: keys turned on reading, keys turned when others go, sinks that meet a query of their own") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    support::draws d(seed);
    course const c = random_course(d);
    auto const sinks = static_cast<u32>(d.between(0, 3)), recent = static_cast<u32>(d.between(5, 12));
    auto const policy = streaming_llm(sinks, recent);
    kv_tensor on_reading{c.shape, policy, options_of(c), in_cache_positions{c.encoding}};
    CHECK(worst_difference(on_reading, c, seed) < 2e-5);
    kv_tensor two_queries{c.shape, policy, options_of(c), two_query_positions{c.encoding}};
    CHECK(worst_difference(two_queries, c, seed) < 2e-5);
    kv_tensor paged{c.shape, policy, options_of(c), two_query_positions{c.encoding}, dropped{}, in_pages{}};
    CHECK(worst_difference(paged, c, seed) < 2e-5);
    course token_by_token = c;
    token_by_token.first_piece = 1;
    token_by_token.room = 0;
    kv_tensor when_others_go{c.shape, policy, options_of(token_by_token), rerotated_positions{c.encoding}};
    CHECK(worst_difference(when_others_go, token_by_token, seed) < 5e-5);
    kv_tensor whoever_goes{c.shape, roco(sinks + recent + 2, 2, 2), options_of(token_by_token), rerotated_positions{c.encoding}};
    CHECK(worst_difference(whoever_goes, token_by_token, seed) < 5e-5);
  });
}

TEST_CASE("what a prompt leaves is turned as it is written, from anywhere to its rank") {
  support::for_each_seed(40, [](std::uint64_t seed) {
    support::draws d(seed);
    course c = random_course(d);
    c.room = 0;
    c.first_piece = static_cast<u32>(d.between(20, 400));  // differences of one digit and of two
    c.tokens = c.first_piece + 12;
    auto const slots = static_cast<u32>(d.between(8, 19));
    kv_tensor cut_once{c.shape, policy{uniform_budget{slots}, at_prompt_end(mean_attention{}, protect{1, 3})},
                       {.capacity = slots + 12, .max_piece = c.first_piece, .group_threads = c.threads}, rerotated_positions{c.encoding}};
    CHECK(worst_difference(cut_once, c, seed) < 5e-5);
    kv_tensor cut_again{c.shape, roco(slots, 2, 2), {.max_piece = c.first_piece, .group_threads = c.threads}, rerotated_positions{c.encoding}, dropped{}, in_pages{}};
    CHECK(worst_difference(cut_again, c, seed) < 5e-5);
  });
}

TEST_CASE("compress turns survivors too") {
  cache_shape const shape{1, 2, 2, 6, 1};
  rotary_encoding const encoding{.theta = 500};
  course c{shape, encoding};
  support::marked_vectors const data{7, shape};
  auto const snap = snapkv(9, 4, 3);
  kv_tensor cache{shape, snap, {.max_piece = 300}, rerotated_positions{encoding}};
  support::marked_vectors::piece const p = piece_of(cache, data, c, 0, 0, 300, 0);
  std::vector<float> masses(2 * 300);
  for (std::size_t i = 0; i < masses.size(); ++i) masses[i] = static_cast<float>(i * 37 % 101) / 101;
  compress(serial_executor{}, cache[0], p.keys.data(), p.values.data(), 300, {.window = masses.data(), .pitch = 300});
  for (u32 h = 0; h < 2; ++h) {
    auto const row = cache.view().row(h);
    CHECK(row.state->held == 9);
    for (u32 i = 0; i < 9; ++i) {
      std::vector<double> const want = turned(data.vector(kind::key, 0, 0, h, row.positions[i]), encoding, i);
      auto const* const key = reinterpret_cast<float const*>(row.keys.at(i));
      for (u32 k = 0; k < 6; ++k) CHECK(std::fabs(static_cast<double>(key[k]) - want[k]) < 1e-5);
    }
  }
}

TEST_CASE("two queries in bf16, and far into a text") {
  course c{{1, 2, 2, 64, 1}, {.theta = 10000}};
  c.tokens = 3000;
  kv_tensor<decltype(streaming_llm(4, 12)), fp32_payload, two_query_positions> cache{c.shape, streaming_llm(4, 12), {}, two_query_positions{c.encoding}};
  CHECK(worst_difference(cache, c, 3) < 2e-5);
  // Rotated keys are rounded to 8 bits once; nothing adds up.
  kv_tensor<decltype(streaming_llm(4, 12)), bf16_payload, two_query_positions> half{c.shape, streaming_llm(4, 12), {}, two_query_positions{c.encoding}};
  CHECK(worst_difference(half, c, 3) < 0.2);
}

TEST_CASE("linear biases go by ranks in the cache, and by positions elsewhere") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    support::draws d(seed);
    course c = random_course(d);
    c.encoding = {.theta = 0};
    c.steepness = d.chance(0.5) ? 8 : 3.5;
    linear_bias const bias{c.steepness};
    auto const policy = d.chance(0.5) ? to_any(random_eviction(7, 1, 2, seed)) : to_any(roco(8, 2, 2));
    kv_tensor in_cache{c.shape, policy, options_of(c), in_cache_positions{c.encoding, bias}};
    CHECK(worst_difference(in_cache, c, seed) < 2e-5);
    c.by_rank = false;
    kv_tensor original{c.shape, policy, options_of(c), original_positions{bias}};
    CHECK(worst_difference(original, c, seed) < 2e-5);
    kv_tensor paged{c.shape, policy, options_of(c), original_positions{bias}, dropped{}, in_pages{}};
    CHECK(worst_difference(paged, c, seed) < 2e-5);
  });
}

TEST_CASE("slopes of 8 and of 12 heads are those of the paper") {
  linear_bias const published{8};
  for (u32 h = 0; h < 8; ++h) CHECK(published.slope(h, 8) == std::ldexp(1.0f, -static_cast<int>(h) - 1));
  CHECK(published.slope(7, 12) == std::ldexp(1.0f, -8));
  CHECK(published.slope(8, 12) == doctest::Approx(std::sqrt(0.5)));
  CHECK(published.slope(11, 12) == doctest::Approx(std::pow(2.0, -3.5)));
  for (u32 const heads : {1u, 3u, 7u, 16u, 20u})
    for (u32 h = 0; h < heads; ++h) CHECK(published.slope(h, heads) == doctest::Approx(slope(8, h, heads)));
}

TEST_CASE("what a rule cannot follow is refused") {
  auto const refusal = [](auto const& policy, auto const& rule) -> std::string {
    try {
      kv_tensor cache{cache_shape{1, 1, 1, 8, 1}, policy, {.capacity = 30}, rule};
    } catch (bad_argument const& error) {
      return error.what();
    }
    return "";
  };
  std::string const chooses = "the position rule needs what stays to be sinks and the newest tokens, and the policy chooses otherwise; take in_cache_positions";
  CHECK(refusal(streaming_llm(4, 10), two_query_positions{}) == "");
  CHECK(refusal(to_any(streaming_llm(4, 10)), two_query_positions{}) == "");
  CHECK(refusal(full(), two_query_positions{}) == "");
  CHECK(refusal(roco(10, 2, 2), two_query_positions{}) == chooses);
  CHECK(refusal(to_any(roco(10, 2, 2)), two_query_positions{}) == chooses);
  CHECK(refusal(policy{uniform_budget{9}, over_budget(oldest_first{}, protect{.sinks = 1, .pinned_from = 3, .pinned = 2})}, two_query_positions{}) == chooses);
  CHECK(refusal(policy{uniform_budget{9}, at_prompt_end(oldest_first{}, protect{.sinks = 1}), making_room(oldest_first{}, protect{.sinks = 2})},
                two_query_positions{}) == chooses);
  rotary_encoding const dynamic{.scaling = rotary_scaling::dynamic_ntk, .factor = 2, .trained = 16};
  std::string const changing = "scaling is dynamic_ntk; keys that are encoded cannot be turned on, for frequencies change with the text: take in_cache_positions";
  CHECK(refusal(streaming_llm(4, 10), two_query_positions{dynamic}) == changing);
  CHECK(refusal(streaming_llm(4, 10), rerotated_positions{dynamic}) == changing);
  CHECK(refusal(keydiff(10), rerotated_positions{}) == "");
  CHECK(refusal(strided(10, 2, mean_attention{}, protect{}), rerotated_positions{}).find("acts before a token is written or on pieces") != std::string::npos);
  CHECK(refusal(expected_attention(10), original_positions{{8}}) ==
        "a score of the policy expects attention from queries and keys alone, and the position rule adds linear biases; take another policy");
  CHECK(refusal(streaming_llm(4, 10), original_positions{{-1}}) ==
        "steepness is -1.000000; give a number up to 1000, such as the published 8, or 0 for no bias");
}
