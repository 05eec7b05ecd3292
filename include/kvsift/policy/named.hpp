#pragma once

#include <cstdint>

#include <kvsift/budget/competing.hpp>
#include <kvsift/budget/recovering.hpp>
#include <kvsift/budget/uniform.hpp>
#include <kvsift/policy/policy.hpp>
#include <kvsift/scope/most_varying.hpp>
#include <kvsift/score/attention.hpp>
#include <kvsift/score/by_recipe.hpp>
#include <kvsift/score/expected_mass.hpp>
#include <kvsift/score/hamming.hpp>
#include <kvsift/score/key_difference.hpp>
#include <kvsift/score/key_norm.hpp>
#include <kvsift/score/pooled.hpp>
#include <kvsift/score/position.hpp>
#include <kvsift/score/reservoir.hpp>

// The policies of the literature, each a composition of parts. Budgets count slots per KV head.
namespace kvsift {

/// Never evicts.
constexpr auto full() { return policy{unlimited{}}; }

/// The first `sinks` and the newest `recent` tokens (arXiv 2309.17453).
constexpr auto streaming_llm(std::uint32_t sinks, std::uint32_t recent) {
  return policy{uniform_budget{sinks + recent}, over_budget(oldest_first{}, protect{sinks, recent})};
}

/// H2O (arXiv 2306.14048): the lowest sum of attention goes; the newest `recent` and the sinks stay.
constexpr auto accumulated_attention_policy(std::uint32_t budget, std::uint32_t recent, std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget}, over_budget(accumulated_attention{}, protect{sinks, recent})};
}

/// The same with the mean in place of the sum.
constexpr auto mean_attention_policy(std::uint32_t budget, std::uint32_t recent, std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget}, over_budget(mean_attention{}, protect{sinks, recent})};
}

/// TOVA (arXiv 2401.06104): the lowest attention of the newest query goes; shared: one victim for all heads of a layer.
constexpr auto tova(std::uint32_t budget, bool shared = false, std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget}, over_budget(newest_query_attention{}, protect{sinks, 1}, all_slots{},
                                                    shared ? unit::shared : unit::per_head)};
}

/// RoCo (arXiv 2402.06262): outside the `excluded` slots whose attention varies most, the lowest mean goes.
constexpr auto roco(std::uint32_t budget, std::uint32_t excluded, std::uint32_t newest = 10, std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget}, over_budget(mean_attention{}, protect{sinks, newest}, most_varying{excluded})};
}

/// roco's scope under the sum of attention.
constexpr auto accumulated_deviation(std::uint32_t budget, std::uint32_t excluded, std::uint32_t newest = 10,
                                     std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget},
                over_budget(accumulated_attention{}, protect{sinks, newest}, most_varying{excluded})};
}

/// roco as its original decides: the `excluded` slots of largest deviation stay, for which the newest and the sinks are counted
/// first instead of being out of reach.
constexpr auto reference_roco(std::uint32_t budget, std::uint32_t excluded, std::uint32_t newest = 10, std::uint32_t sinks = 0) {
  return policy{uniform_budget{budget}, over_budget(mean_attention{}, protect{}, forced_then_varying{excluded, newest, sinks})};
}

/// EasyKV's strided prompt (arXiv 2402.06262): a prompt longer than the budget comes in pieces of `stride` tokens, after each of
/// which every head gives up as many slots; then one victim a step. At most budget + stride slots are in use.
template <score_source Score, ranked_scope Scope = all_slots>
constexpr auto strided(std::uint32_t budget, std::uint32_t stride, Score score, protect guards, Scope scope = {}) {
  return policy{uniform_budget{budget}, in_pieces(stride, score, guards, scope)};
}

/// The same with the silence of the original: no column is fed before the first piece that evicts.
template <score_source Score, ranked_scope Scope = all_slots>
constexpr auto reference_strided(std::uint32_t budget, std::uint32_t stride, Score score, protect guards, Scope scope = {}) {
  auto rule = in_pieces(stride, score, guards, scope);
  rule.silent = true;
  return policy{uniform_budget{budget}, rule};
}

/// StreamingLLM with reservoir sampling (kv-cache-sampling): a token that leaves the recent window may take the place of one of the
/// first `sinks`, with the attention that the newest query pays it for probability. Room for a query that follows a document
/// comes from the lowest attention of its last token.
constexpr auto reservoir(std::uint32_t sinks, std::uint32_t recent, std::uint64_t seed = 0, supplied_draws draws = {}) {
  rule<newest_query_attention> room{moment::before_piece, {}, protect{0, 1}};
  return policy{uniform_budget{sinks + recent}, in_pieces(1, reservoir_attention{sinks, seed, draws}, protect{}), room};
}

/// cold-compress's recent_global: sinks and a sliding window at original positions; room is made before a token arrives.
constexpr auto recent_global(std::uint32_t budget, std::uint32_t sinks) {
  return policy{uniform_budget{budget}, at_prompt_end(oldest_first{}, protect{sinks}),
                making_room(oldest_first{}, protect{sinks})};
}

/// cold-compress's heavy_hitter: the lowest mean observation goes; a prompt is compressed by the pooled attention of its
/// last min(16, budget - sinks) queries. history and threshold: Scissorhands (arXiv 2305.17118).
constexpr auto heavy_hitter(std::uint32_t budget, std::uint32_t sinks, std::uint32_t recent, std::uint32_t history = 1,
                            bool threshold = false) {
  std::uint32_t const window = budget - sinks < 16 ? budget - sinks : 16;
  return policy{uniform_budget{budget},
                at_prompt_end(pooled{window_mass{window}, 5, pooling::mean}, protect{sinks, window}, pick::keepers),
                making_room(observed_mean{observations{history, threshold}}, protect{sinks, recent})};
}

/// SnapKV (arXiv 2404.14469): of a prompt that is too long, the last `window` tokens stay and those that their queries paid
/// most attention to, pooled over `kernel` neighbours. Nothing goes in decode: the cache grows by the promised tokens.
constexpr auto snapkv(std::uint32_t budget, std::uint32_t window = 32, std::uint32_t kernel = 7, pooling pool = pooling::max,
                      group_reduction reduce = group_reduction::mean) {
  return policy{uniform_budget{budget},
                at_prompt_end(pooled{window_mass{window, reduce}, kernel, pool, window}, protect{.newest = window}, pick::keepers)};
}

/// Ada-KV over SnapKV (arXiv 2407.11550): the KV heads of a layer compete for `budget` slots each, all but a part `floor`.
constexpr auto ada_snapkv(std::uint32_t budget, std::uint32_t window = 32, std::uint32_t kernel = 7, pooling pool = pooling::max,
                          double floor = 0.2, group_reduction reduce = group_reduction::mean) {
  return policy{competing_budget{uniform_budget{budget}, competing_shares{floor}},
                at_prompt_end(pooled{window_mass{window, reduce}, kernel, pool, window}, protect{.newest = window}, pick::keepers,
                              unit::competing)};
}

/// The largest key norm goes (arXiv 2406.11430).
constexpr auto key_norm(std::uint32_t budget, std::uint32_t sinks, std::uint32_t recent) {
  return policy{uniform_budget{budget}, at_prompt_end(smallest_key_norm{}, protect{sinks, recent}, pick::keepers),
                making_room(smallest_key_norm{}, protect{sinks, recent})};
}

/// KeyDiff (arXiv 2504.15364): of a prompt that is too long the keys go that resemble the mean key most; sinks and the newest `recent`
/// stay. Nothing goes in decode: the cache grows by the promised tokens.
constexpr auto keydiff(std::uint32_t budget, std::uint32_t sinks = 0, std::uint32_t recent = 0) {
  return policy{uniform_budget{budget}, at_prompt_end(key_difference{}, protect{sinks, recent}, pick::keepers)};
}

/// Expected Attention (arXiv 2510.00636): of a prompt that is too long the tokens stay whose keys the queries to come can be
/// expected to look at, times the length of their values. `encoding` is the model's. Nothing goes in decode: the cache grows
/// by the promised tokens.
constexpr auto expected_attention(std::uint32_t budget, rotary_encoding encoding = {}, std::uint32_t sinks = 4, std::uint32_t recent = 0,
                                  std::uint32_t future = 512, bool covariance = true) {
  return policy{uniform_budget{budget},
                at_prompt_end(expected_mass{encoding, future, sinks, 0, covariance}, protect{sinks, recent}, pick::keepers)};
}

/// Even positions go first: a baseline.
constexpr auto keep_it_odd(std::uint32_t budget, std::uint32_t sinks, std::uint32_t recent) {
  return policy{uniform_budget{budget}, at_prompt_end(even_first{}, protect{sinks, recent}),
                making_room(even_first{}, protect{sinks, recent})};
}

/// LSH-E / HashEvict (arXiv 2412.16187): the slot whose key's signature differs most from that of the arriving key, or with
/// `by_query` of the mean of its group's queries, goes. A prompt keeps the sinks and its last budget - sinks tokens.
constexpr auto lsh(std::uint32_t budget, std::uint32_t sinks, std::uint32_t recent, signature code = {}, bool by_query = false) {
  return policy{uniform_budget{budget}, at_prompt_end(oldest_first{}, protect{sinks}),
                making_room(hamming{code, by_query}, protect{sinks, recent})};
}

/// FastGen (arXiv 2310.01801), cold-compress's hybrid: when its prompt ends a head chooses the first of `recipes` that keeps the
/// part `recovery` of the attention paid, keeps what that keeps, and in decode as much. `history`: see observations; `length`:
/// tokens that the recipes' parts are of in what is kept, 0 for the prompt's. Heads may choose to keep everything: needs a
/// capacity.
constexpr auto hybrid(recipe_list const& recipes, double recovery = 0.9, std::uint32_t sinks = 4, std::uint32_t history = 1,
                      std::uint32_t length = 0) {
  return policy{recovering_budget{{recipes, recovery, sinks, length}},
                over_budget(by_recipe{recipes, observations{history, false}, length}, protect{sinks})};
}

/// A random slot goes: a baseline. Draws depend on (seed, layer, head, position, tokens seen) and nothing else.
constexpr auto random_eviction(std::uint32_t budget, std::uint32_t sinks, std::uint32_t recent, std::uint64_t seed = 0) {
  return policy{uniform_budget{budget}, at_prompt_end(random_draw{seed}, protect{sinks, recent}),
                making_room(random_draw{seed}, protect{sinks, recent})};
}

}  // namespace kvsift
