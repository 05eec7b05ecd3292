// Policies made of random parts, through any_policy: after every step the library holds what their generic oracle
// holds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <oracle/composition.hpp>
#include <support/approx.hpp>
#include <support/listed.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

namespace {

using oracle::asked;
using oracle::composed_rule;
using oracle::composition;
using oracle::measure;
using support::draws;

std::uint32_t u32(int x) { return static_cast<std::uint32_t>(x); }

/// Guards, scope and score of a rule that leaves a slot to go in every head of `budget` slots. taken: slots it needs
/// besides.
composed_rule random_rule(draws& d, int budget, int taken, std::vector<measure> const& scores) {
  composed_rule r;
  r.score = d.one_of(scores);
  int left = budget - taken;
  auto const some = [&](double chance, int most) {
    int const n = left > 0 && d.chance(chance) ? d.between(1, std::min(left, most)) : 0;
    left -= n;
    return n;
  };
  r.sinks = some(0.4, 4);
  r.newest = some(0.6, 8);
  r.pinned = some(0.15, 3);
  r.pinned_from = d.between(0, 12);
  r.excluded = some(0.35, 8);
  return r;
}

composition random_composition(draws& d, int tokens) {
  std::vector<measure> const scores{measure::oldest,       measure::even,     measure::accumulated, measure::mean,
                                    measure::newest_query, measure::observed, measure::key_norm};
  composition c;
  c.budget = d.between(1, std::max(1, 2 * tokens / 3));
  c.decode =
      d.one_of(std::vector<asked>{asked::never, asked::before_append, asked::after_attention, asked::after_attention});
  c.cuts_prompt = c.decode == asked::never || d.chance(0.75);
  c.stride =
      c.cuts_prompt && c.decode != asked::before_append && d.chance(0.3) ? d.between(1, std::min(c.budget, 6)) : 0;
  c.shared = d.chance(0.25);
  c.history = d.chance(0.5) ? 1 : d.between(2, 40);
  c.threshold = d.chance(0.4);
  c.by_query = d.chance(0.5);
  c.prompt_rule = random_rule(d, c.budget, c.stride == 0 ? 0 : c.stride - 1, scores);
  if (c.stride == 0 && d.chance(0.3)) c.prompt_rule.tie = oracle::ties::lowest_stays;
  std::vector<measure> in_decode = scores;
  if (c.decode == asked::before_append) in_decode.insert(in_decode.end(), {measure::distance, measure::distance});
  c.decode_rule = random_rule(d, c.budget, c.decode == asked::before_append ? 1 : 0, in_decode);
  return c;
}

kvsift::any_score score_of(composition const& c, measure m, oracle::trace const& t) {
  switch (m) {
    case measure::oldest:
      return kvsift::oldest_first{};
    case measure::even:
      return kvsift::even_first{};
    case measure::accumulated:
      return kvsift::accumulated_attention{};
    case measure::mean:
      return kvsift::mean_attention{};
    case measure::newest_query:
      return kvsift::newest_query_attention{};
    case measure::observed:
      return kvsift::observed_mean{{u32(c.history), c.threshold}};
    case measure::key_norm:
      return kvsift::smallest_key_norm{};
    case measure::distance:
      break;
  }
  return kvsift::hamming{{u32(t.bits), 0, {t.projection.data(), t.projection.size()}}, c.by_query};
}

kvsift::any_policy policy_of(composition const& c, oracle::trace const& t) {
  kvsift::any_policy p{kvsift::uniform_budget{u32(c.budget)}, kvsift::detail::idle(), kvsift::detail::idle()};
  auto const rule = [&](composed_rule const& r, kvsift::moment when) {
    kvsift::any_rule made;
    made.when = when;
    made.score = score_of(c, r.score, t);
    made.guards = {u32(r.sinks), u32(r.newest), u32(r.pinned_from), u32(r.pinned)};
    if (r.excluded != 0) made.scope = kvsift::most_varying{u32(r.excluded)};
    made.who = c.shared ? kvsift::unit::shared : kvsift::unit::per_head;
    made.ranked = r.tie == oracle::ties::lowest_goes ? kvsift::pick::victims : kvsift::pick::keepers;
    made.stride = u32(std::max(1, c.stride));
    return made;
  };
  if (c.cuts_prompt)
    p.rules.first = rule(c.prompt_rule, c.stride != 0 ? kvsift::moment::piece_end : kvsift::moment::prompt_end);
  if (c.decode == asked::before_append) p.rules.rest.first = rule(c.decode_rule, kvsift::moment::before_append);
  if (c.decode == asked::after_attention) p.rules.rest.first = rule(c.decode_rule, kvsift::moment::after_attention);
  return p;
}

std::string text_of(composition const& c, int prompt, oracle::trace const& t) {
  auto const rule = [](composed_rule const& r) {
    return "{score " + std::to_string(static_cast<int>(r.score)) + ", sinks " + std::to_string(r.sinks) + ", newest " +
           std::to_string(r.newest) + ", pinned " + std::to_string(r.pinned_from) + "+" + std::to_string(r.pinned) +
           ", excluded " + std::to_string(r.excluded) + "}";
  };
  return "budget " + std::to_string(c.budget) + (c.cuts_prompt ? ", prompt " + rule(c.prompt_rule) : "") + ", stride " +
         std::to_string(c.stride) + ", decode " + std::to_string(static_cast<int>(c.decode)) + " " +
         rule(c.decode_rule) + (c.shared ? ", shared" : "") + ", history " + std::to_string(c.history) +
         (c.threshold ? " threshold" : "") + "; prompt " + std::to_string(prompt) + " of " + std::to_string(t.tokens) +
         ", heads " + std::to_string(t.query_heads) + "/" + std::to_string(t.kv_heads) + ", dim " +
         std::to_string(t.dim);
}

template <class Placement>
void agrees(std::uint64_t seed) {
  draws d(seed);
  oracle::trace t = support::random_trace(d, support::random_shape(d, 36));
  composition const c = random_composition(d, t.tokens);
  if (c.decode == asked::before_append && c.decode_rule.score == measure::distance) {
    t.bits = d.between(4, 64);
    for (int i = 0; i < t.dim * t.bits; ++i) t.projection.push_back(static_cast<float>(d.normal()));
  }
  int const prompt = d.chance(0.2) ? 1 : d.between(1, t.tokens);
  INFO(text_of(c, prompt, t));
  oracle::held_positions const want = oracle::composed(t, c, prompt).run();

  kvsift::cache_shape const shape{1, u32(t.kv_heads), u32(t.group()), u32(t.dim), 1};
  kvsift::cache_options const options{.max_piece = u32(prompt),
                                      .promised = u32(t.tokens - prompt),
                                      .order = d.chance(0.5) ? kvsift::layout::dense : kvsift::layout::slots};
  kvsift::kv_tensor cache{shape,      policy_of(c, t), options, kvsift::original_positions{}, kvsift::dropped{},
                          Placement{}};
  std::vector<float> out;
  for (int first = 0, step = 0; first < t.tokens && step < want.first_close; ++step) {
    int const tokens = step == 0 ? prompt : 1;
    out.assign(static_cast<std::size_t>(tokens * t.query_heads * t.dim), 0.0f);
    kvsift::step(kvsift::serial_executor{}, cache[0],
                 {t.query(first, 0), t.key(first, 0), t.value(first, 0), u32(tokens), step == 0}, out.data());
    kvsift::evict(kvsift::serial_executor{}, cache);
    first += tokens;
    for (int h = 0; h < t.kv_heads; ++h) {
      auto const row = cache.view().row(u32(h));
      std::vector<int> held;
      for (std::uint32_t i = 0; i < row.state->held; ++i) held.push_back(static_cast<int>(row.positions[i]));
      std::sort(held.begin(), held.end());
      if (held != want.after[static_cast<std::size_t>(step)][static_cast<std::size_t>(h)]) {
        CAPTURE(step);
        CAPTURE(h);
        REQUIRE(support::listed(held) ==
                support::listed(want.after[static_cast<std::size_t>(step)][static_cast<std::size_t>(h)]));
      }
    }
  }
  if (prompt < t.tokens && want.first_close == 1 + t.tokens - prompt)
    CHECK(support::first_difference(out, want.attention, static_cast<std::size_t>(t.dim), 1e-4, 0.1) == "");
}

}  // namespace

TEST_CASE("twelve thousand random compositions hold what their generic oracle holds, in rows and in pages") {
  support::for_each_seed(9000, [](std::uint64_t seed) { agrees<kvsift::in_rows>(seed); });
  for (std::uint64_t const seed : support::seeds(3000, 9001)) {
    INFO("again with KVSIFT_SEED=" << seed);
    agrees<kvsift::in_pages>(seed);
  }
}
