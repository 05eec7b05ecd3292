#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <oracle/description.hpp>
#include <oracle/replay_oracle.hpp>
#include <oracle/trace.hpp>

namespace support {

/// A stream of numbers from a seed, the same on every machine and standard library (splitmix64).
class draws {
 public:
  explicit draws(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  /// A whole number of low .. high, both included.
  int between(int low, int high) { return low + static_cast<int>(bits() % static_cast<std::uint64_t>(high - low + 1)); }
  bool chance(double p) { return uniform() < p; }
  /// Mean 0, variance 1, about normal: twelve uniforms, so that no libm is asked.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }
  template <class T>
  T const& one_of(std::vector<T> const& list) {
    return list[static_cast<std::size_t>(between(0, static_cast<int>(list.size()) - 1))];
  }

 private:
  std::uint64_t state_;
};

struct trace_shape {
  int tokens = 0, query_heads = 0, kv_heads = 0, dim = 0;
};

/// Small shapes, odd dimensions and grouped heads among them. tokens: 8 .. longest.
inline trace_shape random_shape(draws& d, int longest = 96) {
  int const kv_heads = d.between(1, 3);
  return {d.between(8, longest), kv_heads * d.between(1, 4), kv_heads,
          d.one_of(std::vector<int>{1, 2, 3, 5, 7, 8, 12, 13, 16, 17, 31, 33})};
}

/// A layer that behaves like one: topics come and go, a key resembles its neighbour and its topic, now and then an
/// earlier key comes back bit for bit, the first key and a few more draw attention from everywhere.
inline oracle::trace random_trace(draws& d, trace_shape shape) {
  using vector = std::vector<double>;
  std::size_t const dim = static_cast<std::size_t>(shape.dim);
  auto const direction = [&] {
    vector v(dim);
    for (double& x : v) x = d.normal();
    return v;
  };
  oracle::trace t;
  t.tokens = shape.tokens;
  t.query_heads = shape.query_heads;
  t.kv_heads = shape.kv_heads;
  t.dim = shape.dim;

  int const topics = d.between(2, 6);
  std::vector<std::vector<vector>> topic(static_cast<std::size_t>(shape.kv_heads));  // [kv_heads][topics][dim]
  std::vector<vector> common, drift;                                                 // [kv_heads][dim]
  for (std::vector<vector>& of_head : topic) {
    for (int i = 0; i < topics; ++i) of_head.push_back(direction());
    common.push_back(direction());
    drift.push_back(direction());
  }
  std::size_t now = 0;
  for (int token = 0; token < shape.tokens; ++token) {
    if (d.chance(0.12)) now = static_cast<std::size_t>(d.between(0, topics - 1));
    std::size_t const recalled = d.chance(0.15) ? static_cast<std::size_t>(d.between(0, topics - 1)) : now;
    bool const draws_attention = token == 0 || d.chance(0.04);
    int const repeated = token > 0 && d.chance(0.02) ? d.between(0, token - 1) : -1;
    for (int h = 0; h < shape.kv_heads; ++h) {
      std::size_t const head = static_cast<std::size_t>(h);
      std::vector<float> key;
      for (std::size_t i = 0; i < dim; ++i) {
        drift[head][i] = 0.8 * drift[head][i] + 0.6 * d.normal();
        double const x = 0.8 * topic[head][now][i] + 0.5 * drift[head][i] + 0.3 * d.normal() +
                         (draws_attention ? 1.2 * common[head][i] : 0.0);
        key.push_back(static_cast<float>(x));
      }
      if (repeated >= 0) key.assign(t.key(repeated, h), t.key(repeated, h) + dim);
      t.keys.insert(t.keys.end(), key.begin(), key.end());
      for (std::size_t i = 0; i < dim; ++i) t.values.push_back(static_cast<float>(d.normal()));
    }
    for (int q = 0; q < shape.query_heads; ++q) {
      std::size_t const head = static_cast<std::size_t>(q / t.group());
      for (std::size_t i = 0; i < dim; ++i) {
        double const x = 0.9 * topic[head][recalled][i] + 0.7 * common[head][i] + 0.5 * d.normal();
        t.queries.push_back(static_cast<float>(x));
      }
    }
  }
  return t;
}

/// A valid description of `policy` whose budget is exceeded by some traces of `tokens` tokens.
inline oracle::description random_description(draws& d, std::string const& policy, int tokens) {
  oracle::description p;
  p.policy = policy;
  p.budget = d.between(1, std::max(1, tokens - 2));
  bool const makes_room = policy == "heavy_hitter" || policy == "key_norm" || policy == "keep_it_odd" || policy == "lsh";
  if (policy == "keydiff") {
    p.sinks = d.between(0, std::min(4, p.budget));
    p.recent = d.between(0, p.budget - p.sinks);
  } else if (policy == "streaming_llm" || policy == "reservoir") {
    if (policy == "reservoir") p.budget = std::max(2, p.budget);
    p.recent = d.between(1, policy == "reservoir" ? p.budget - 1 : p.budget);
    p.sinks = p.budget - p.recent;
  } else if (policy == "strided") {
    p.stride = d.between(1, std::min(p.budget, 12));
    int const left = p.budget + 1 - p.stride;  // sinks and whatever else never goes
    p.sinks = d.between(0, std::min(4, left));
    p.by_deviation = d.chance(0.5);
    p.score = d.chance(0.5) ? oracle::score::mean : oracle::score::accumulated;
    p.recent = p.by_deviation ? 0 : d.between(0, left - p.sinks);
    p.newest = d.between(0, std::min(10, left - p.sinks));
    p.excluded = d.between(0, left - p.sinks - p.newest);
    p.reference = d.chance(0.4) && (!p.by_deviation || p.newest + p.sinks <= p.excluded);
  } else if (policy == "accumulated_attention" || policy == "mean_attention") {
    p.sinks = d.between(0, std::min(4, p.budget));
    p.recent = d.between(0, p.budget - p.sinks);
  } else if (policy == "roco" || policy == "deviation_scope") {
    p.sinks = d.between(0, std::min(4, p.budget));
    p.newest = d.between(0, std::min(10, p.budget - p.sinks));
    p.excluded = d.between(0, p.budget - p.sinks - p.newest);
    p.reference = policy == "roco" && p.newest + p.sinks <= p.excluded && d.chance(0.5);  // so that nothing forced may go
    p.score = d.chance(0.5) || policy == "roco" ? oracle::score::mean : oracle::score::accumulated;
  } else if (policy == "tova" || policy == "recent_global") {
    p.sinks = d.between(0, std::min(4, p.budget - 1));
    p.shared = policy == "tova" && d.chance(0.5);
  } else if (policy == "snapkv" || policy == "ada_snapkv") {
    p.budget = d.between(2, std::max(2, tokens - 2));
    p.window = d.between(1, std::min(16, p.budget - 1));
    p.kernel = 2 * d.between(0, 4) + 1;
    p.pool = d.chance(0.5) ? oracle::pool::max : oracle::pool::avg;
    p.floor = d.one_of(std::vector<double>{0, 0.2, 0.5, 0.75, 1});
  } else if (makes_room) {
    p.sinks = d.between(0, std::min(4, p.budget - 1));
    p.recent = d.between(0, p.budget - 1 - p.sinks);
    p.by_query = policy == "lsh" && d.chance(0.5);
    if (policy == "heavy_hitter") {
      p.history = d.chance(0.5) ? 1 : d.between(2, 12);
      p.threshold = d.chance(0.5);
    }
  }
  return p;
}

/// A trace, a policy, a prompt length and what the oracle says of them.
struct random_case {
  oracle::trace trace;
  oracle::description policy;
  int prompt = 1;
  oracle::replay_result expected;  // expected.smallest_gap tells how close its decisions are

  /// Events before this step, and outputs up to it, do not rest on a comparison closer than 1e-5.
  int comparable_steps(double limit = 1e-5) const { return expected.first_close_step(limit, trace.tokens); }
};

/// The case of a seed. Half of the prompts are one token, a fit or a whole trace; the others any length.
inline random_case make_random_case(std::uint64_t seed, std::string const& policy, int longest = 96) {
  draws d(seed);
  random_case c;
  trace_shape const shape = random_shape(d, longest);
  c.trace = random_trace(d, shape);
  c.policy = random_description(d, policy, shape.tokens);
  if (policy == "lsh") {
    c.trace.bits = d.between(4, 64);
    for (int i = 0; i < c.trace.dim * c.trace.bits; ++i) c.trace.projection.push_back(static_cast<float>(d.normal()));
  }
  if (policy == "reservoir")
    for (int i = 0; i < c.trace.tokens * c.trace.kv_heads; ++i) c.trace.uniforms.push_back(static_cast<float>(d.between(0, 999)) / 1000.0f);
  switch (d.between(0, 5)) {
    case 0:
      c.prompt = 1;
      break;
    case 1:
      c.prompt = std::max(1, c.policy.budget);
      break;
    case 2:
      c.prompt = shape.tokens;
      break;
    default:
      c.prompt = d.between(1, shape.tokens);
  }
  c.expected = oracle::replay(c.trace, c.policy, c.prompt);
  return c;
}

}  // namespace support
