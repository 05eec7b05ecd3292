#include <common/align_rollout.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <kvsift/core/random.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/named.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

namespace {

using kvsift::parallel_executor;

// A cache that is looked at when a token has attended and none has gone.
template <class Cache, class Look>
struct watched_cache {
  Cache& cache;
  Look look;

  static constexpr kvsift::keys_are keys_are() { return Cache::keys_are(); }
  auto layer(std::uint32_t l) { return cache.layer(l); }
  friend void evict(parallel_executor const& on, watched_cache& watched) {
    watched.look();
    kvsift::evict(on, watched.cache);
  }
};
template <class Cache, class Look>
watched_cache(Cache&, Look) -> watched_cache<Cache, Look>;

// What the rows hold, in order of position, without the first `begin`.
template <class Cache>
void copy_held(Cache const& cache, std::uint32_t begin, std::vector<float>& keys, std::vector<float>& values) {
  std::uint32_t const dim = cache.shape().head_dim;
  for (std::uint32_t r = 0; r < cache.shape().rows(); ++r) {
    auto const row = cache.view().row(r);
    std::vector<std::uint32_t> slots(row.state->held);
    std::iota(slots.begin(), slots.end(), 0u);
    std::sort(slots.begin(), slots.end(), [&](std::uint32_t a, std::uint32_t b) { return row.positions[a] < row.positions[b]; });
    for (std::size_t rank = begin; rank < slots.size(); ++rank) {
      auto const add = [&](std::vector<float>& to, auto const& plane) {
        auto const* const x = reinterpret_cast<float const*>(plane.at(slots[rank]));
        to.insert(to.end(), x, x + dim);
      };
      add(keys, row.keys);
      add(values, row.values);
    }
  }
}

// The last vectors of `held` become truth + s (held - truth), s from -1 to 1 for each.
void scatter(std::vector<float> const& truth, std::uint32_t dim, kvsift::counter_random const& draw, std::uint32_t number, std::vector<float>& held) {
  float* const x = held.data() + (held.size() - truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    float const s = 2 * draw.uniform(number, static_cast<std::uint32_t>(i / dim)) - 1;
    x[i] = truth[i] + s * (x[i] - truth[i]);
  }
}

std::uint32_t below(kvsift::counter_random const& draw, std::uint32_t a, std::uint32_t b, std::size_t count) {
  auto const drawn = static_cast<std::size_t>(static_cast<double>(draw.uniform(a, b)) * static_cast<double>(count));
  return static_cast<std::uint32_t>(std::min(drawn, count - 1));
}

}  // namespace

void add_rollout_pairs(parallel_executor const& on, reference_model::model const& m, kvsift::learned_align const& rule, align_rollout const& rollout,
                       align_pairs& keys, align_pairs& values) {
  reference_model::config const& c = m.config;
  std::uint32_t const budget = rollout.budget, sinks = rule.sinks, recent = budget - sinks;
  kvsift::require(budget > sinks, "budget", budget, "give more than the sinks");
  kvsift::require(!rollout.looks.empty() && rollout.tokens.size() > std::size_t{budget} + rollout.looks.back(), "tokens of a rollout",
                  rollout.tokens.size(), "give the budget and one for each eviction");
  kvsift::cache_shape const shape{c.layers, c.kv_heads, c.group(), c.head_dim, 1};
  kvsift::kv_tensor streamed{shape, kvsift::streaming_llm(sinks, recent), {.max_piece = budget}, rule};
  kvsift::kv_tensor afresh{shape, kvsift::full(), {.capacity = budget + 1, .max_piece = budget + 1}};
  reference_model::transformer decoder(m, budget + 1);
  std::vector<std::uint32_t> positions(std::size_t{budget} + 1);
  std::iota(positions.begin(), positions.end(), 0u);
  keys.dim = values.dim = c.head_dim;

  bool wanted = false;
  watched_cache seen{streamed, [&] {
                       if (wanted) copy_held(streamed, sinks + 1, keys.from, values.from);
                     }};
  decoder.forward(on, seen, rollout.tokens.data(), positions.data(), budget);
  std::vector<std::uint32_t> staying(rollout.tokens.begin(), rollout.tokens.begin() + budget);
  auto look = rollout.looks.begin();
  for (std::uint32_t eviction = 0; look != rollout.looks.end(); ++eviction) {
    std::uint32_t const* const token = rollout.tokens.data() + budget + eviction;
    wanted = *look == eviction;
    decoder.forward(on, seen, token, positions.data() + budget, 1);
    if (!wanted) continue;
    ++look;
    std::copy(token + 1 - recent, token + 1, staying.begin() + sinks);
    afresh.clear();
    decoder.forward(on, afresh, staying.data(), positions.data(), budget);
    copy_held(afresh, sinks, keys.to, values.to);
    if (rollout.drift == align_rollout::drift_is::scattered) {
      staying.insert(staying.begin() + sinks, *(token - recent));
      afresh.clear();
      decoder.forward(on, afresh, staying.data(), positions.data(), budget + 1);
      staying.erase(staying.begin() + sinks);
      std::vector<float> true_keys, true_values;
      copy_held(afresh, sinks + 1, true_keys, true_values);
      kvsift::counter_random const draw{rollout.seed};
      scatter(true_keys, c.head_dim, draw, 2 * eviction, keys.from);
      scatter(true_values, c.head_dim, draw, 2 * eviction + 1, values.from);
    }
    for (align_pairs* const p : {&keys, &values})
      for (std::uint32_t r = 0; r < shape.rows(); ++r)
        for (std::uint32_t j = 0; j < recent; ++j) {
          p->position.push_back(static_cast<std::uint16_t>(j));
          p->layer.push_back(static_cast<std::uint16_t>(r / c.kv_heads));
          p->head.push_back(static_cast<std::uint16_t>(r % c.kv_heads));
        }
  }
}

std::vector<align_rollout> draw_rollouts(std::span<std::uint32_t const> text, rollout_draw const& d, std::uint64_t seed) {
  constexpr std::uint32_t quarters = 4;
  kvsift::counter_random const draw{seed};
  double const most = d.window - 1 - d.sinks, least = std::min(8.0, most);
  std::vector<align_rollout> all;
  for (std::uint32_t quarter = 0; quarter < quarters; ++quarter)
    for (std::uint64_t left = std::max<std::uint64_t>(1, d.pairs / quarters); left > 0;) {
      auto const number = static_cast<std::uint32_t>(all.size());
      align_rollout& one = all.emplace_back();
      double const share = (quarter + static_cast<double>(draw.uniform(number, 0))) / quarters;
      auto const recent = static_cast<std::uint32_t>(std::lround(least * std::pow(most / least, share)));
      one.budget = d.sinks + recent;
      one.drift = align_rollout::drift_is::scattered;
      one.seed = seed + number;
      std::uint64_t const a_look = std::uint64_t{d.rows} * recent;
      auto const evictions = static_cast<std::uint32_t>(std::min<std::uint64_t>({text.size() - one.budget, recent + recent / 2}));
      auto const kept = static_cast<std::uint32_t>(std::min<std::uint64_t>((left + a_look - 1) / a_look, evictions));
      one.looks.resize(evictions);
      std::iota(one.looks.begin(), one.looks.end(), 0u);
      for (std::uint32_t k = 0; k < kept; ++k) std::swap(one.looks[k], one.looks[k + below(draw, number, k + 2, evictions - k)]);
      one.looks.resize(kept);
      std::sort(one.looks.begin(), one.looks.end());
      std::size_t const length = one.budget + one.looks.back() + 1u, begin = below(draw, number, 1, text.size() - length + 1);
      one.tokens.assign(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(begin + length));
      one.tokens[0] = text[0];
      left -= std::min(left, kept * a_look);
    }
  return all;
}

align_rollout measured_rollout(std::span<std::uint32_t const> text, rollout_draw const& d) {
  align_rollout r;
  r.budget = std::max(d.sinks + 1, d.window / 2);
  auto const recent = r.budget - d.sinks;
  auto const evictions = static_cast<std::uint32_t>(std::min<std::size_t>(text.size() - r.budget, 2 * std::size_t{recent}));
  std::uint32_t const looks = std::min(8u, evictions), apart = std::max(1u, evictions / 2 / looks);
  for (std::uint32_t k = 0; k < looks; ++k) r.looks.push_back(evictions - 1 - (looks - 1 - k) * apart);
  r.tokens.assign(text.begin(), text.begin() + r.budget + evictions);
  return r;
}

}  // namespace programs
