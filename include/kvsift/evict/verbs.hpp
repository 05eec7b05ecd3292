#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <kvsift/column/observations.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/tasks.hpp>
#include <kvsift/exec/executor.hpp>

// The verbs: an executor first, then the cache or one of its layers, then data. Each checks its arguments on the host,
// enqueues its tasks, and allocates nothing.
namespace kvsift {

/// One layer of a cache: what cache[layer] gives.
template <class L>
concept cache_layer = requires(L const& rows) {
  rows.cache.bound();
  rows.layer;
};

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

template <class Rule>
inline constexpr bool acts = !std::is_same_v<std::remove_cvref_t<Rule>, no_rule>;

/// Brings `layers` layers from `first` on down to their limits less `room`, by the rule of `when` if there is one.
/// piece: the token that room is made for, if one is.
template <class Executor, class Cache>
void cut_layers(Executor const& on, Cache& cache, moment when, std::uint32_t first, std::uint32_t layers, std::uint32_t room,
                arrivals const& piece = {}) {
  with_rule(cache.policy().rules, when, [&](auto const& rule) {
    using rule_type = std::remove_cvref_t<decltype(rule)>;
    if constexpr (acts<rule_type>) {
      cache_shape const& shape = cache.shape();
      std::uint32_t const blocks = layers * (rule.who == unit::shared ? shape.sequences : shape.layer_rows());
      on.launch(blocks, cut_task<typename Cache::disposed, typename Cache::bound_type, typename Cache::columns, rule_type>{
                            cache.bound(), rule, first * shape.layer_rows(), room, piece});
      for (std::uint32_t l = first; l < first + layers; ++l)
        cache.set_held(l, std::min(cache.held(l), cache.slots().most[l] - room));
    }
  });
}

/// Writes and attends to a piece that fits; each row makes room for it first by `rule`, if that is one.
template <class Executor, class Cache, class Rule>
void run_step(Executor const& on, Cache& cache, std::uint32_t layer, Rule const& rule, arrivals const& piece, float* out) {
  on.launch(cache.shape().layer_rows(),
            step_task<typename Cache::payload, typename Cache::bound_type, typename Cache::columns, Rule>{
                cache.bound(), rule, piece, out, layer});
  if (piece.keys != nullptr) cache.set_held(layer, std::min(cache.held(layer) + piece.tokens, cache.slots().fullest[layer]));
}

/// One piece that fits, or one token that a rule of before_append makes room for.
template <class Executor, class Cache>
void step_that_fits(Executor const& on, Cache& cache, std::uint32_t layer, arrivals const& piece, float* out) {
  with_rule(cache.policy().rules, moment::before_append, [&](auto const& rule) {
    if (!acts<decltype(rule)> || piece.tokens > 1) return run_step(on, cache, layer, no_rule{}, piece, out);
    if (rule.who == unit::per_head) return run_step(on, cache, layer, rule, piece, out);
    cut_layers(on, cache, moment::before_append, layer, 1, 1, piece);
    run_step(on, cache, layer, no_rule{}, piece, out);
  });
}

/// The first piece of a sequence by way of the workspace: columns are fed there, the rule of prompt_end cuts, and only
/// survivors are written. Without queries the columns are fed with `masses`.
template <class Executor, class Cache>
void stage(Executor const& on, Cache& cache, std::uint32_t layer, arrivals const& piece, prompt_masses const& masses, float* out) {
  using payload = typename Cache::payload;
  using columns = typename Cache::columns;
  using bound = typename Cache::bound_type;
  cache_shape const& shape = cache.shape();
  staging_rows<columns> const rows{cache.bound().work.staging, piece, layer, 0, 1};
  on.launch(shape.layer_rows(), stage_task<bound, columns>{cache.bound(), rows, masses, out});
  with_rule(cache.policy().rules, moment::prompt_end, [&](auto const& rule) {
    std::uint32_t const blocks = rule.who == unit::shared ? shape.sequences : shape.layer_rows();
    on.launch(blocks, settle_task<payload, bound, columns, std::remove_cvref_t<decltype(rule)>>{cache.bound(), rows, rule});
  });
  cache.set_held(layer, std::min(piece.tokens, cache.slots().most[layer]));
}

/// Refuses a layer or piece that the cache was not planned for.
template <class Cache>
void check_piece(Cache const& cache, std::uint32_t layer, std::uint32_t tokens) {
  require(layer < cache.shape().layers, "layer", layer, "the cache has fewer layers");
  require(tokens >= 1 && tokens <= cache.options().max_piece, "tokens", tokens,
          "a piece has 1 to max_piece tokens; plan for longer ones with cache_options.max_piece");
  moment const moments = cache.policy().facts().moments;
  bool const limited = cache.slots().most[layer] != no_limit;
  bool const makes_room = limited && includes(moments, moment::before_append | moment::after_attention);
  bool const cuts = limited && includes(moments, moment::prompt_end) && cache.held(layer) == 0 && tokens > 1;
  std::uint64_t const wanted = std::uint64_t{cache.held(layer)} + tokens;
  require(makes_room || cuts || wanted <= cache.capacity(), "tokens", wanted,
          "exceeds the capacity, and no rule of the policy makes room; plan a larger capacity");
}

}  // namespace detail

/// Brings every head of every layer under its limit by the rules of after_attention. Call it once per step, when all
/// layers have attended: victims are first needed by the next append. A second call in a row does nothing.
/// Reads the columns of the rule once or twice, moves one slot per victim. One launch, no allocation, capturable.
template <executor Executor, class Policy, class Payload, class Position, class Disposal>
void evict(Executor const& on, kv_tensor<Policy, Payload, Position, Disposal>& cache) {
  detail::cut_layers(on, cache, moment::after_attention, 0, cache.shape().layers, 0);
}

/// The same for one layer: call it for each, when it has attended. On a CPU the columns are then still in the processor's
/// cache; a GPU would rather be asked once for all.
template <executor Executor, cache_layer Layer>
void evict(Executor const& on, Layer rows) {
  require(rows.layer < rows.cache.shape().layers, "layer", rows.layer, "the cache has fewer layers");
  detail::cut_layers(on, rows.cache, moment::after_attention, rows.layer, 1, 0);
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
/// One token: reads K and V once; one launch (two if the heads decide together). Allocates nothing, capturable.
/// Without `out` (one token) nothing is attended to.
/// Throws bad_argument, and changes nothing, if the piece is longer than max_piece, the capacity is exceeded, or queries are
/// null that the policy compares.
template <executor Executor, cache_layer Layer>
void step(Executor const& on, Layer rows, arrivals const& piece, float* out) {
  auto& cache = rows.cache;
  using columns = typename std::remove_reference_t<decltype(cache)>::columns;
  detail::check_piece(cache, rows.layer, piece.tokens);
  require(piece.queries != nullptr || cache.policy().facts().looks_at != arriving::queries, "queries", 0,
          "the policy compares the arriving token's queries with what is held; give them with its key");
  cache_shape const& shape = cache.shape();
  std::uint32_t const held = cache.held(rows.layer);
  bool const fits = held + piece.tokens <= std::min(cache.slots().least[rows.layer], cache.capacity());
  // A piece counts as one observation only at the beginning: later tokens are observed one by one.
  bool one_by_one = false;
  if constexpr (columns::template has<observations>) one_by_one = held != 0 && cache.view().stored.template get<observations>().width() != 0;
  if (piece.tokens == 1) {
    if (held + 1 > cache.capacity()) detail::cut_layers(on, cache, moment::after_attention, rows.layer, 1, 0);
    detail::step_that_fits(on, cache, rows.layer, piece, out);
  } else if (fits && !one_by_one) {
    detail::step_that_fits(on, cache, rows.layer, piece, out);
  } else if (held == 0 && includes(cache.policy().facts().moments, moment::prompt_end)) {
    detail::stage(on, cache, rows.layer, piece, {}, out);
  } else {
    require(shape.sequences == 1, "tokens", piece.tokens, "a batch takes later pieces token by token");
    std::size_t const keys = std::size_t{shape.kv_heads} * shape.head_dim;
    std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
    for (std::uint32_t t = 0; t < piece.tokens; ++t)
      step(on, rows, {piece.queries + t * queries, piece.keys + t * keys, piece.values + t * keys, 1}, out + t * queries);
  }
}

/// Writes one token into one layer. keys, values [sequences, kv_heads, head_dim]. queries [sequences, kv_heads x group,
/// head_dim]: of the same token, for policies that compare them with what is held; others leave them out. See step.
template <executor Executor, cache_layer Layer>
void append(Executor const& on, Layer rows, float const* keys, float const* values, float const* queries = nullptr) {
  step(on, rows, {queries, keys, values, 1}, nullptr);
}

/// Attention of the newest token's queries over the slots held; the policy's columns are fed in the same pass.
/// queries, out [sequences, kv_heads x group, head_dim]. One launch, no allocation, capturable.
template <executor Executor, cache_layer Layer>
void attend(Executor const& on, Layer rows, float const* queries, float* out) {
  require(rows.layer < rows.cache.shape().layers, "layer", rows.layer, "the cache has fewer layers");
  require(rows.cache.held(rows.layer) >= 1, "tokens held", 0, "append one before attending");
  detail::run_step(on, rows.cache, rows.layer, no_rule{}, {queries, nullptr, nullptr, 1}, out);
}

/// For engines with an attention of their own: feeds the policy's columns with what the newest token's queries gave.
/// masses [sequences, kv_heads, pitch]: for each slot held, in slot order, the probability averaged over the group.
template <executor Executor, cache_layer Layer>
void observe(Executor const& on, Layer rows, float const* masses, std::size_t pitch) {
  auto& cache = rows.cache;
  using cache_type = std::remove_reference_t<decltype(cache)>;
  require(rows.layer < cache.shape().layers, "layer", rows.layer, "the cache has fewer layers");
  require(pitch >= cache.held(rows.layer), "pitch", pitch, "give a row of masses at least as long as the slots held");
  on.launch(cache.shape().layer_rows(), observe_task<typename cache_type::columns>{cache.view(), masses, pitch, rows.layer});
}

/// For engines with an attention of their own: the first piece of a sequence is cut down to the limit by the rule of
/// prompt_end and its survivors are written, in position order; `masses` feed the policy's columns. A piece that fits is
/// written whole. keys, values [sequences, tokens, kv_heads, head_dim].
/// Reads the columns a fixed number of times (select_lowest), K and V of the survivors once. Two launches, no allocation.
/// Throws bad_argument, and changes nothing, if the layer holds tokens already or a mass that the columns ask for is null.
template <executor Executor, cache_layer Layer>
void compress(Executor const& on, Layer rows, float const* keys, float const* values, std::uint32_t tokens,
              prompt_masses const& masses = {}) {
  auto& cache = rows.cache;
  using columns = typename std::remove_reference_t<decltype(cache)>::columns;
  detail::check_piece(cache, rows.layer, tokens);
  require(cache.held(rows.layer) == 0, "tokens held", cache.held(rows.layer), "compress takes the first piece of a sequence; clear() first");
  require(tokens <= cache.slots().least[rows.layer] || includes(cache.policy().facts().moments, moment::prompt_end), "tokens", tokens,
          "exceeds the limit, and no rule of the policy acts at prompt_end");
  if constexpr (columns::feeds_on_attention) {
    columns const stored = cache.policy().columns();
    auto const given = [&](float const* plane, char const* name, bool asked) {
      require(!asked || plane != nullptr, name, 0, "the policy's columns feed on it; give the engine's attention mass");
    };
    bool feeds = false;
    stored.for_each([&](auto const& column, std::size_t) { feeds = feeds || (column.feeds_on_attention && column.width() != 0); });
    given(masses.sum, "masses.sum", feeds);
    if constexpr (columns::template has<attention_square_sum>)
      given(masses.squares, "masses.squares", stored.template get<attention_square_sum>().stored);
    if constexpr (columns::template has<last_attention>) given(masses.last, "masses.last", stored.template get<last_attention>().stored);
    given(masses.window, "masses.window", stored.window_queries() != 0);
    require(!feeds || masses.pitch >= tokens, "masses.pitch", masses.pitch, "give rows at least as long as the piece");
  }
  detail::stage(on, cache, rows.layer, {nullptr, keys, values, tokens}, masses, nullptr);
}

}  // namespace kvsift
