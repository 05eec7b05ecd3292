#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/sequences.hpp>
#include <kvsift/evict/split_prompt.hpp>
#include <kvsift/evict/split_step.hpp>
#include <kvsift/evict/tasks.hpp>
#include <kvsift/exec/executor.hpp>

// What verbs are made of: which tasks are enqueued for a piece of tokens, and what is counted.
namespace kvsift {

/// One layer of a cache: what cache[layer] gives, or cache.sequence(s)[layer].
template <class L>
concept cache_layer = requires(L const& rows) {
  rows.cache.bound();
  rows.layer;
  rows.who;
};

namespace detail {

template <class Cache>
cache_part<Cache> sequences_of(cache_part<Cache> part) {
  return part;
}
template <class Policy, class Payload, class Position, class Disposal, class Placement, class Memory>
auto sequences_of(kv_tensor<Policy, Payload, Position, Disposal, Placement, Memory>& cache) {
  return cache.everyone();
}

}  // namespace detail

/// Sequences of a cache: all, by the cache itself, or those of cache.sequences(first, count).
template <class S>
concept cache_sequences = requires(S& some) { detail::sequences_of(some); };

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

/// Enqueues a task over a cache, once it is sure that its executor reaches the cache.
template <class Executor, class Cache, class Task>
void enqueue(Executor const& on, Cache const& cache, std::uint32_t blocks, Task const& task) {
  using space = typename Cache::memory_type::space;
  constexpr bool host_cache = std::is_same_v<space, host_space>, host_executor = std::is_same_v<space_of<Executor>, host_space>;
  static_assert(host_cache || !host_executor,
                "kvsift: the cache lies in memory that a host executor cannot reach; give the verb an executor of that device, "
                "such as kvsift::cuda_executor");
  static_assert(!host_cache || host_executor,
                "kvsift: the cache lies in the host's memory, which this executor cannot reach; give kv_tensor a memory of its device, "
                "such as kvsift::cuda::memory");
  static_assert(host_cache || host_executor || std::is_same_v<space, space_of<Executor>>,
                "kvsift: the cache lies in the memory of another device than the executor's");
  if constexpr (requires { on.group_threads(); })
    require(on.group_threads() <= cache.options().group_threads, "threads of the executor", on.group_threads(),
            "the cache is planned for smaller groups; give cache_options.group_threads as many");
  on.launch(blocks, task);
}

/// Cuts the rows of `layers` layers from `first` on, of some sequences, as far as `depth` says, by `rule`.
/// piece: the token that room is made for, if one is.
template <class Executor, class Cache, class Rule>
void cut_by(Executor const& on, cache_part<Cache> part, Rule const& rule, std::uint32_t first, std::uint32_t layers, cut_depth depth,
            arrivals const& piece = {}) {
  Cache& cache = part.cache;
  std::uint32_t const blocks = layers * part.who.count * (rule.who == unit::shared ? 1 : cache.shape().kv_heads);
  enqueue(on, cache, blocks, cut_task<typename Cache::disposed, typename Cache::bound_type, typename Cache::columns, Rule>{
                                cache.bound_to(part.who), rule, first, depth, piece});
  cache.realign(on, part.who, first, layers);
  for (std::uint32_t l = first; l < first + layers; ++l) {
    if (depth.piece != 0) part[l].count_piece(depth.piece);
    else part[l].count_cut(depth.room);
  }
}

/// The same by the rule of `when`, if there is one.
template <class Executor, class Cache>
void cut_layers(Executor const& on, cache_part<Cache> part, moment when, std::uint32_t first, std::uint32_t layers, cut_depth depth,
                arrivals const& piece = {}) {
  with_rule(part.cache.policy().rules, when, [&](auto const& rule) {
    if constexpr (acts<decltype(rule)>) cut_by(on, part, rule, first, layers, depth, piece);
  });
}
/// The same in one layer.
template <class Executor, class Cache>
void cut_rows_of(Executor const& on, cache_rows<Cache> rows, moment when, cut_depth depth, arrivals const& piece = {}) {
  cut_layers(on, cache_part<Cache>{rows.cache, rows.who}, when, rows.layer, 1, depth, piece);
}

/// Writes and attends to a piece that fits; each row makes room for it first by `rule`, if that is one. Where rows are split, one token
/// takes two launches, and has room already.
template <class Executor, class Cache, class Rule>
void run_step(Executor const& on, cache_rows<Cache> rows, Rule const& rule, arrivals const& piece, float* out, bool silent = false) {
  Cache& cache = rows.cache;
  using bound = typename Cache::bound_type;
  std::uint32_t const blocks = rows.who.count * cache.shape().kv_heads;
  if constexpr (Cache::splits && !acts<Rule>) {
    if (std::uint32_t const chunks = cache.bound().work.row_chunks; piece.tokens == 1 && out != nullptr && chunks != 0) {
      split_step<bound> const step{rows.bound(), piece, out, rows.layer, silent};
      with_reading(cache.shape().group, cache.shape().head_dim, [&]<class Reading>(Reading) {
        enqueue(on, cache, blocks * chunks, attend_chunk_task<Reading, typename Cache::payload, bound>{step});
      });
      enqueue(on, cache, blocks * chunks, merge_chunks_task<bound>{step});
      if (piece.keys != nullptr) rows.count_arrived(1);
      return;
    }
  }
  enqueue(on, cache, blocks,
         step_task<typename Cache::payload, bound, typename Cache::columns, Rule>{rows.bound(), rule, piece, out, rows.layer, silent});
  if (piece.keys != nullptr) rows.count_arrived(piece.tokens);
}

/// One piece that fits, or one token that a rule of before_append makes room for.
template <class Executor, class Cache>
void step_that_fits(Executor const& on, cache_rows<Cache> rows, arrivals const& piece, float* out) {
  with_rule(rows.cache.policy().rules, moment::before_append, [&](auto const& rule) {
    if (!acts<decltype(rule)> || piece.tokens > 1) return run_step(on, rows, no_rule{}, piece, out);
    if constexpr (!Cache::splits)
      if (rule.who == unit::per_head) {
        rows.count_cut(1);
        return run_step(on, rows, rule, piece, out);
      }
    cut_rows_of(on, rows, moment::before_append, {.room = 1}, piece);
    run_step(on, rows, no_rule{}, piece, out);
  });
}

/// The first piece of a sequence by way of the workspace: columns are fed there, the rule of prompt_end cuts, and only
/// survivors are written. Without queries the columns are fed with `masses`.
template <class Executor, class Cache>
void stage(Executor const& on, cache_rows<Cache> to, arrivals const& piece, prompt_masses const& masses, float* out) {
  Cache& cache = to.cache;
  std::uint32_t const layer = to.layer;
  using payload = typename Cache::payload;
  using columns = typename Cache::columns;
  using bound = typename Cache::bound_type;
  cache_shape const& shape = cache.shape();
  float const* const queries = piece.queries != nullptr ? piece.queries : masses.queries;
  bound const given = to.bound();
  std::uint32_t const count = to.who.count * shape.kv_heads;
  staging_rows<columns> const rows{given.work.staging, piece, layer, to.who.first * shape.kv_heads, 1, queries};
  std::uint32_t const chunks = Cache::splits ? chunks_of(piece.tokens) : 1, staged = piece.queries == nullptr ? chunks : 1;
  enqueue(on, cache, count * staged, stage_task<bound, columns>{given, rows, masses, out, staged});
  with_rule(cache.policy().rules, moment::prompt_end, [&](auto const& rule) {
    using rule_type = std::remove_cvref_t<decltype(rule)>;
    bool scored = false;
    bool measured = false;
    with_measured(cache.policy().budget, [&]<class Shares>(Shares const& shares) {
      if constexpr (Shares::each_head) {
        measured = true;
        enqueue(on, cache, count, measure_task<bound, columns, Shares>{given, rows, shares});
      }
    });
    // Behind the measurement, whose limits say which rows are cut, and before heads compete by what is written here.
    if constexpr (Cache::splits && acts<rule_type>) {
      scored = scored_by_chunks(rule) && (measured || piece.tokens > cache.slots().least[layer]);
      if (scored)
        enqueue(on, cache, count * chunks, score_chunk_task<bound, columns, rule_type>{given, rows, rule, chunks});
    }
    with_measured(cache.policy().budget, [&]<class Shares>(Shares const& shares) {
      if constexpr (!Shares::each_head && acts<rule_type>) {
        if (rule.who != unit::competing) return;
        std::uint32_t const beyond = cache.slots().least_room[layer] - cache.slots().least[layer];
        enqueue(on, cache, to.who.count, allocate_task<bound, columns, rule_type, Shares>{given, rows, rule, shares, beyond, scored});
      }
    });
    std::uint32_t const together = rule.who == unit::shared ? shape.kv_heads : 1;
    enqueue(on, cache, count / together, settle_task<payload, bound, columns, rule_type, !Cache::splits>{given, rows, rule, scored});
    if constexpr (Cache::splits) {
      std::uint32_t const each = (chunks + most_writing_blocks - 1) / most_writing_blocks, writing = (chunks + each - 1) / each;
      enqueue(on, cache, count * writing,
              write_chunk_task<payload, bound, columns>{given, rows, together, rule.ranked, writing, each});
    }
  });
  to.count_prompt(piece.tokens);
}

/// One token: where a head holds one above its limit, because nobody asked to evict, it comes down first.
template <class Executor, class Cache>
void step_token(Executor const& on, cache_rows<Cache> rows, arrivals const& token, float* out) {
  rows.alike([&](slots_held const& n) { return rows.full(n); }, [&](cache_rows<Cache> some, bool full) {
    if (full) cut_rows_of(on, some, moment::after_attention, {});
  });
  step_that_fits(on, rows, token, out);
}

/// Calls f(part, out) for the parts of a piece, each of length(tokens left) tokens.
template <class Length, class F>
void in_parts(cache_shape const& shape, arrivals const& piece, float* out, Length const& length, F const& f) {
  std::size_t const keys = std::size_t{shape.kv_heads} * shape.head_dim;
  std::size_t const queries = std::size_t{shape.query_heads()} * shape.head_dim;
  std::uint32_t const pitch = piece.pitch == 0 ? piece.tokens : piece.pitch;
  for (std::uint32_t t = 0, n = 0; t < piece.tokens; t += n) {
    n = length(piece.tokens - t);
    float const* const q = piece.queries == nullptr ? nullptr : piece.queries + t * queries;
    std::uint8_t const* const kinds = piece.kinds == nullptr ? nullptr : piece.kinds + t;
    f(arrivals{q, piece.keys + t * keys, piece.values + t * keys, n, piece.of_prompt, pitch, kinds, piece.first_sequence},
      out == nullptr ? nullptr : out + t * queries);
  }
}

/// A piece counts as one observation only at the beginning: later tokens are observed one by one.
template <class Cache>
bool observed_one_by_one(cache_rows<Cache> rows) {
  return rows.held().most != 0 && rows.cache.view().stored.piece_is_one_observation();
}

/// A piece of a long prompt, no longer than next_piece says: it is written and attended to, and heads that it brings over their
/// limit give up as many slots by the rule of piece_end.
template <class Executor, class Cache>
void take_piece(Executor const& on, cache_rows<Cache> rows, arrivals const& piece, float* out) {
  bool const one_by_one = observed_one_by_one(rows);
  if (rows.over(rows.held())) cut_rows_of(on, rows, moment::after_attention, {});
  bool const silent = rows.cache.policy().facts().silent;
  in_parts(rows.cache.shape(), piece, out, [&](std::uint32_t left) { return one_by_one ? 1 : left; },
           [&](arrivals const& part, float* part_out) { run_step(on, rows, no_rule{}, part, part_out, silent); });
  if (rows.over(rows.held())) cut_rows_of(on, rows, moment::piece_end, {.piece = piece.tokens});
}

/// A piece of several tokens, or one of a prompt that goes in pieces, of sequences that go on alike.
template <class Executor, class Cache>
void step_piece(Executor const& on, cache_rows<Cache> rows, arrivals const& piece, float* out) {
  Cache const& cache = rows.cache;
  slots_held const held = rows.held();
  moment const moments = cache.policy().facts().moments;
  // Where nothing acts in decode, check_piece saw that there is room.
  bool const grows = held.most != 0 && !includes(moments, moment::before_append | moment::after_attention);
  bool const measures = held.most == 0 && each_head_measures(cache.policy().budget);
  bool const fits = grows || held.most + piece.tokens <= std::min(cache.slots().least[rows.layer], cache.slots().least_room[rows.layer]);
  if (cache.policy().facts().stride != 0) {
    in_parts(cache.shape(), piece, out, [&](std::uint32_t left) { return rows.next_piece(left); },
             [&](arrivals const& part, float* part_out) { take_piece(on, rows, part, part_out); });
  } else if (fits && !measures && !observed_one_by_one(rows)) {
    step_that_fits(on, rows, piece, out);
  } else if (held.most == 0 && includes(moments, moment::prompt_end) && !Cache::token_by_token) {
    stage(on, rows, piece, {}, out);
  } else {
    in_parts(cache.shape(), piece, out, [](std::uint32_t) { return 1u; },
             [&](arrivals const& part, float* part_out) { step_token(on, rows, part, part_out); });
  }
}

template <class Cache>
void check_layer(cache_rows<Cache> rows) {
  require(rows.layer < rows.cache.shape().layers, "layer", rows.layer, "the cache has fewer layers");
}

/// Refuses a layer or piece that the cache was not planned for.
template <class Cache>
void check_piece(cache_rows<Cache> rows, std::uint32_t tokens) {
  Cache const& cache = rows.cache;
  std::uint32_t const layer = rows.layer;
  check_layer(rows);
  require(tokens >= 1 && tokens <= cache.options().max_piece, [] { return std::string("tokens"); }, tokens, [&] {
    return "a piece has 1 to " + std::to_string(cache.options().max_piece) + " tokens; plan for longer ones with cache_options.max_piece";
  });
  moment const moments = cache.policy().facts().moments;
  slot_plan const& slots = cache.slots();
  bool const makes_room = includes(moments, moment::before_append | moment::after_attention);
  std::uint32_t const stride = cache.policy().facts().stride;
  rows.each([&](slots_held const& n, std::uint32_t sequence) {
    bool const cuts = includes(moments, moment::prompt_end) && n.most == 0 && tokens > 1;
    auto const fits = [&](std::uint32_t limit, std::uint32_t held, std::uint32_t room) {
      std::uint64_t wanted = std::uint64_t{held} + tokens;
      if (stride != 0 && wanted > limit) wanted = std::max(limit, held + std::min(stride, tokens));
      auto const whose = [&] { return cache.shape().sequences == 1 ? std::string("tokens") : "tokens of sequence " + std::to_string(sequence); };
      require((limit != no_limit && (makes_room || cuts)) || wanted <= room, whose, wanted, [&] {
        return "exceeds the capacity of " + std::to_string(room) + ", and no rule of the policy makes room; plan a larger one";
      });
    };
    fits(slots.most[layer], n.most, slots.most_room[layer]);
    fits(slots.least[layer], n.least, slots.least_room[layer]);
  });
}

template <class Executor, class Cache>
void set_paused(Executor const& on, cache_part<Cache> part, bool paused) {
  enqueue(on, part.cache, 1, pause_task<typename Cache::bound_type>{part.cache.bound_to(part.who), paused ? 1u : 0u});
  part.cache.count_paused(part.who, paused);
}

}  // namespace detail

}  // namespace kvsift
