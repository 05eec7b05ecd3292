#pragma once

#include <cstdint>

#include <type_traits>

#include <kvsift/column/observations.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/tasks.hpp>
#include <kvsift/exec/executor.hpp>

namespace kvsift {

namespace detail {

/// Calls f with the first rule that acts at `when`, or with no_rule.
template <class F>
void with_rule(rule_list<> const&, moment, F const& f) {
  f(no_rule{});
}
template <class First, class... Rest, class F>
void with_rule(rule_list<First, Rest...> const& rules, moment when, F const& f) {
  if (includes(rules.first.when, when))
    f(rules.first);
  else
    with_rule(rules.rest, when, f);
}

template <class Executor, class Cache, class Rule>
void cut_layers(Executor const& on, Cache& cache, Rule const& rule, std::uint32_t first, std::uint32_t layers,
                std::uint32_t room) {
  auto const work = cache.work();
  cache_shape const& shape = cache.shape();
  std::uint32_t const per_layer = rule.who == unit::shared ? shape.sequences : shape.layer_rows();
  cut_task<typename Cache::payload, typename Cache::columns, Rule> const task{
      cache.view(), rule, first * shape.layer_rows(), room, work.sums, work.words, cache.options().group_threads};
  on.launch(layers * per_layer, task);
  for (std::uint32_t l = first; l < first + layers; ++l) {
    std::uint32_t limit = 0;  // the most that a row of the layer may hold now
    for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
      std::uint32_t const mine = cache.policy().budget.limit(shape, l, h);
      limit = mine > limit ? mine : limit;
    }
    if (work.held[l] > limit - room) work.held[l] = limit - room;
  }
}

template <class Executor, class Cache, class Rule>
void run_step(Executor const& on, Cache& cache, std::uint32_t layer, Rule const& rule, arrivals const& piece, float* out) {
  auto const work = cache.work();
  step_task<typename Cache::payload, typename Cache::columns, Rule> const task{
      cache.view(), rule, piece, work.rotary, out, layer, work.blocks, work.block_bytes, work.slots,
      cache.options().group_threads};
  on.launch(cache.shape().layer_rows(), task);
}

/// One piece that fits, or one token that a rule makes room for.
template <class Executor, class Cache>
void step_that_fits(Executor const& on, Cache& cache, std::uint32_t layer, arrivals const& piece, float* out) {
  auto const work = cache.work();
  with_rule(cache.policy().rules, moment::before_append, [&](auto const& rule) {
    using rule_type = std::remove_cvref_t<decltype(rule)>;
    if constexpr (!std::is_same_v<rule_type, no_rule>) {
      if (piece.tokens == 1) {
        std::uint32_t const held = work.held[layer];
        if (rule.who == unit::shared) {
          cut_layers(on, cache, rule, layer, 1, 1);
          run_step(on, cache, layer, no_rule{}, piece, out);
          work.held[layer] = held < cache.capacity() ? held + 1 : cache.capacity();
        } else {
          run_step(on, cache, layer, rule, piece, out);
          work.held[layer] = held < cache.capacity() ? held + 1 : cache.capacity();
        }
        return;
      }
    }
    run_step(on, cache, layer, no_rule{}, piece, out);
    work.held[layer] += piece.tokens;
  });
}

template <class Executor, class Cache>
void stage(Executor const& on, Cache& cache, std::uint32_t layer, arrivals const& piece, float* out) {
  using payload = typename Cache::payload;
  using columns = typename Cache::columns;
  auto const work = cache.work();
  staging_rows<columns> const rows{work.staging, piece, layer, 0, 1};
  cache_shape const& shape = cache.shape();
  std::uint32_t const threads = cache.options().group_threads;
  on.launch(shape.layer_rows(), stage_task<payload, columns>{cache.view(), rows, work.rotary, out, work.blocks,
                                                             work.block_bytes, work.slots, threads});
  with_rule(cache.policy().rules, moment::prompt_end, [&](auto const& rule) {
    using rule_type = std::remove_cvref_t<decltype(rule)>;
    if constexpr (!std::is_same_v<rule_type, no_rule>) {
      std::uint32_t const blocks = rule.who == unit::shared ? shape.sequences : shape.layer_rows();
      on.launch(blocks, settle_task<payload, columns, rule_type>{cache.view(), rows, rule, work.sums, work.blocks,
                                                                 work.block_bytes, work.slots, threads});
    }
  });
  std::uint32_t most = 0;
  for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
    std::uint32_t const limit = cache.policy().budget.limit(shape, layer, h);
    most = limit > most ? limit : most;
  }
  work.held[layer] = piece.tokens < most ? piece.tokens : most;
}

}  // namespace detail

/// Brings every head of every layer under its limit by the rules of after_attention. Call it once per step, when all
/// layers have attended: victims are first needed by the next append. A second call in a row does nothing.
/// Reads the columns of the rule once or twice, moves one slot per victim. One launch, no allocation, capturable.
template <class Executor, class Policy, class Payload, class Position>
void evict(Executor const& on, kv_tensor<Policy, Payload, Position>& cache) {
  detail::with_rule(cache.policy().rules, moment::after_attention, [&](auto const& rule) {
    if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(rule)>, no_rule>)
      detail::cut_layers(on, cache, rule, 0, cache.shape().layers, 0);
  });
}

/// Writes a piece of tokens into one layer, attends to it causally, and feeds the policy's columns.
///
///   out[t] = softmax(q[t] . k / sqrt(head_dim)) v over the slots held and the piece up to t
///   piece.queries [sequences, tokens, kv_heads x group, head_dim], keys, values [sequences, tokens, kv_heads, head_dim]
///   out [sequences, tokens, kv_heads x group, head_dim]
///
/// Keys and queries are encoded or not as keys_are() says. A full head makes room before the token is written if a rule
/// of before_append says so. A first piece longer than the limit attends over the caller's arrays, is cut down by the
/// rule of prompt_end, and only its survivors are written; a later piece that does not fit goes token by token.
/// One token: reads K and V once; one launch (two if the heads decide together). Allocates nothing.
/// Throws bad_argument, and changes nothing, if the piece is longer than max_piece or the capacity is exceeded.
template <class Layer, class Executor>
void step(Executor const& on, Layer rows, arrivals const& piece, float* out) {
  auto& cache = rows.cache;
  using cache_type = std::remove_reference_t<decltype(cache)>;
  cache_shape const& shape = cache.shape();
  require(rows.layer < shape.layers, "layer", rows.layer, "the cache has fewer layers");
  require(piece.tokens >= 1 && piece.tokens <= cache.options().max_piece, "tokens", piece.tokens,
          "a piece has 1 to max_piece tokens; plan for longer ones with cache_options.max_piece");
  auto const work = cache.work();
  policy_facts const facts = cache.policy().facts();
  std::uint32_t const held = work.held[rows.layer];
  std::uint32_t limit = cache.capacity();
  for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
    std::uint32_t const mine = cache.policy().budget.limit(shape, rows.layer, h);
    limit = mine < limit ? mine : limit;
  }
  bool const bounds = includes(facts.moments, moment::before_append) || includes(facts.moments, moment::after_attention);
  require(bounds || includes(facts.moments, moment::prompt_end) || held + piece.tokens <= cache.capacity(), "tokens",
          held + piece.tokens, "exceeds the capacity, and the policy never evicts; plan a larger capacity");
  bool const counts_steps = cache_type::columns::template has<observations> && held != 0;
  if (held + piece.tokens <= limit && !(counts_steps && piece.tokens > 1)) {
    detail::step_that_fits(on, cache, rows.layer, piece, out);
  } else if (piece.tokens == 1) {
    if (held + 1 > cache.capacity() && includes(facts.moments, moment::after_attention))
      detail::with_rule(cache.policy().rules, moment::after_attention, [&](auto const& rule) {
        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(rule)>, no_rule>)
          detail::cut_layers(on, cache, rule, rows.layer, 1, 0);
      });
    detail::step_that_fits(on, cache, rows.layer, piece, out);
  } else if (held == 0 && includes(facts.moments, moment::prompt_end)) {
    detail::stage(on, cache, rows.layer, piece, out);
  } else {
    require(shape.sequences == 1, "tokens", piece.tokens, "a batch takes later pieces token by token");
    std::size_t const keys = std::size_t{shape.kv_heads} * shape.head_dim;
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    for (std::uint32_t t = 0; t < piece.tokens; ++t)
      step(on, rows, {piece.queries + t * queries, piece.keys + t * keys, piece.values + t * keys, 1}, out + t * queries);
  }
}

/// Writes one token into one layer. keys, values [sequences, kv_heads, head_dim]. See step.
template <class Layer, class Executor>
void append(Executor const& on, Layer rows, float const* keys, float const* values) {
  step(on, rows, {nullptr, keys, values, 1}, nullptr);
}

/// Attention of the newest token's queries over the slots held; the policy's columns are fed in the same pass.
/// queries, out [sequences, kv_heads x group, head_dim]. One launch, no allocation, capturable.
template <class Layer, class Executor>
void attend(Executor const& on, Layer rows, float const* queries, float* out) {
  require(rows.cache.work().held[rows.layer] >= 1, "tokens held", 0, "append one before attending");
  detail::run_step(on, rows.cache, rows.layer, no_rule{}, {queries, nullptr, nullptr, 1}, out);
}

/// For engines with an attention of their own: feeds the policy's columns with what the newest token's queries gave.
/// masses [sequences, kv_heads, pitch]: for each slot held the probability, averaged over the group.
template <class Layer, class Executor>
void observe(Executor const& on, Layer rows, float const* masses, std::size_t pitch) {
  auto& cache = rows.cache;
  using cache_type = std::remove_reference_t<decltype(cache)>;
  observe_task<typename cache_type::payload, typename cache_type::columns> const task{cache.view(), masses, pitch,
                                                                                      rows.layer};
  on.launch(cache.shape().layer_rows(), task);
}

}  // namespace kvsift
