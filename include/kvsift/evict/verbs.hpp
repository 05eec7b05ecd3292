#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <type_traits>

#include <kvsift/evict/enqueue.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/tasks.hpp>
#include <kvsift/exec/executor.hpp>

// The verbs: an executor first, then the cache or one of its layers, of all or of some of its sequences, then data. Each checks its
// arguments on the host, enqueues its tasks, and allocates nothing.
namespace kvsift {

/// Brings every head of every layer under its limit by the rules of after_attention. Call it once per step, when all
/// layers have attended: victims are first needed by the next append. A second call in a row does nothing.
/// Reads the columns of the rule once or twice, moves one slot per victim. One launch, two where the position rule realigns; no allocation,
/// capturable.
template <executor Executor, cache_sequences Sequences>
void evict(Executor const& on, Sequences&& of) {
  auto const part = detail::sequences_of(of);
  detail::cut_layers(on, part, moment::after_attention, 0, part.cache.shape().layers, {});
}

/// The same for one layer: call it for each, when it has attended. On a CPU the columns are then still in the processor's
/// cache; a GPU would rather be asked once for all.
template <executor Executor, cache_layer Layer>
void evict(Executor const& on, Layer rows) {
  detail::check_layer(rows);
  detail::cut_rows_of(on, rows, moment::after_attention, {});
}

/// Brings every head of every layer down to its limit less `tokens`, so that as many can follow before anything else goes. Asks
/// the rule of before_piece; without one that of decode, which then guards no more of the newest than find room beside them.
/// Reads the columns of the rule once or twice per victim, moves one slot each. One launch, no allocation, capturable.
/// Throws bad_argument, and changes nothing, if what never goes leaves no such room, or if nothing ever goes.
template <executor Executor, cache_sequences Sequences>
void make_room(Executor const& on, Sequences&& of, std::uint32_t tokens) {
  auto const part = detail::sequences_of(of);
  auto const& cache = part.cache;
  if (cache.realigned) throw bad_argument("make_room takes many tokens at once, and the position rule realigns slots after each; evict them one by one");
  constexpr moment orders[] = {moment::before_piece, moment::after_attention, moment::before_append};
  moment const moments = cache.policy().facts().moments;
  auto const* const when = std::find_if(std::begin(orders), std::end(orders), [&](moment m) { return includes(moments, m); });
  require(when != std::end(orders), "tokens", tokens, "cannot get room: no rule of the policy makes any");
  std::uint32_t const limit = *std::min_element(cache.slots().least.begin(), cache.slots().least.end());
  detail::with_rule(cache.policy().rules, *when, [&](auto const& rule) {
    if constexpr (detail::acts<decltype(rule)>) {
      auto own = rule;
      std::uint64_t const fixed = own.guards.slots() - own.guards.newest + own.scope.excluded();
      require(fixed + tokens <= limit, "tokens", tokens,
              "exceeds what the sinks, excluded and pinned slots leave of the limit; announce fewer at once");
      own.guards.newest = std::min<std::uint32_t>(own.guards.newest, static_cast<std::uint32_t>(limit - fixed - tokens));
      detail::cut_by(on, part, own, 0, cache.shape().layers, {.room = tokens});
    }
  });
}

/// Forgets every token of some sequences, and of all if it is given the cache, paused or not: another text can begin there while the others
/// go on. O(rows). One launch, no allocation, capturable; kv_tensor::clear does it on the host.
template <executor Executor, cache_sequences Sequences>
void clear(Executor const& on, Sequences&& of) {
  auto const [cache, who] = detail::sequences_of(of);
  using bound = typename std::remove_reference_t<decltype(cache)>::bound_type;
  detail::enqueue(on, cache, cache.shape().layers * who.count, clear_task<bound>{cache.bound_to(who)});
  cache.count_cleared(who);
}

/// Verbs over the whole cache, but for clear, pause and resume, pass over these sequences from now on, in steps that were captured before,
/// too: nothing of them is written, read or evicted, and their part of the output stays as it was. One launch, no allocation, capturable (but the host then knows of the first run alone).
template <executor Executor, cache_sequences Sequences>
void pause(Executor const& on, Sequences&& of) {
  detail::set_paused(on, detail::sequences_of(of), true);
}
/// They go on.
template <executor Executor, cache_sequences Sequences>
void resume(Executor const& on, Sequences&& of) {
  detail::set_paused(on, detail::sequences_of(of), false);
}

/// Writes a piece of tokens into one layer, attends to it causally, and feeds the policy's columns.
///
///   out[t] = softmax(q[t] . k / sqrt(head_dim)) v over the slots held and the piece up to t
///   piece.queries [sequences, tokens, kv_heads x group, head_dim], keys, values [sequences, tokens, kv_heads, head_dim]
///   out [sequences, tokens, kv_heads x group, head_dim]
///
/// Keys and queries are encoded or not as keys_are() says. A full head makes room before the token is written if a rule
/// of before_append says so. A first piece longer than the limit attends over the caller's arrays, is cut down by the
/// rule of prompt_end, and only its survivors are written. A policy with a rule of piece_end takes what does not fit in pieces
/// (next_piece), and after each a head gives up as many slots. Anything else that does not fit goes token by token.
/// One token: reads K and V once; one launch (two if the heads decide together), or two where rows are split (three if room is made
/// first). Allocates nothing, capturable.
/// Throws bad_argument, and changes nothing, if the piece is longer than max_piece, the capacity is exceeded, an array is null, or the
/// pitch is shorter than the piece.
template <executor Executor, cache_layer Layer>
void step(Executor const& on, Layer rows, arrivals piece, float* out) {
  detail::check_piece(rows, piece.tokens);
  require(piece.queries != nullptr && piece.keys != nullptr && piece.values != nullptr && out != nullptr, "queries, keys, values or out", 0,
          "step takes all of them; append, attend and observe do its parts");
  require(piece.pitch == 0 || piece.pitch >= piece.tokens, "pitch", piece.pitch, "sequences overlap in the arrays; give at least as many as tokens");
  piece.first_sequence = rows.who.first;
  if (piece.tokens == 1 && !(piece.of_prompt && rows.cache.policy().facts().stride != 0)) return detail::step_token(on, rows, piece, out);
  rows.alike([](slots_held const& n) { return n; }, [&](Layer some, slots_held const&) { detail::step_piece(on, some, piece, out); });
}

/// Writes one token into one layer. keys, values [sequences, kv_heads, head_dim]. queries [sequences, kv_heads x group,
/// head_dim]: of the same token, for policies that compare them with what is held; others leave them out. kinds [sequences]:
/// see arrivals. See step.
template <executor Executor, cache_layer Layer>
void append(Executor const& on, Layer rows, float const* keys, float const* values, float const* queries = nullptr,
            std::uint8_t const* kinds = nullptr) {
  detail::check_piece(rows, 1);
  require(keys != nullptr && values != nullptr, "keys or values", 0, "append writes both; give the token's");
  require(queries != nullptr || rows.cache.policy().facts().looks_at != arriving::queries, "queries", 0,
          "the policy compares the arriving token's queries with what is held; give them with its key");
  detail::step_token(on, rows, {queries, keys, values, 1, false, 0, kinds, rows.who.first}, nullptr);
}

/// Attention of the newest token's queries over the slots held; the policy's columns are fed in the same pass.
/// queries, out [sequences, kv_heads x group, head_dim]. One launch, two where rows are split; no allocation, capturable.
template <executor Executor, cache_layer Layer>
void attend(Executor const& on, Layer rows, float const* queries, float* out) {
  detail::check_layer(rows);
  rows.each([](slots_held const& n, std::uint32_t) { require(n.most >= 1, "tokens held", 0, "append one before attending"); });
  require(queries != nullptr && out != nullptr, "queries or out", 0, "attend reads the one and writes the other; give both");
  detail::run_step(on, rows, no_rule{}, {queries, nullptr, nullptr, 1, false, 0, nullptr, rows.who.first}, out);
}

/// For engines with an attention of their own: feeds the policy's columns with what the newest token's queries gave.
/// masses [sequences, kv_heads, pitch]: for each slot held, in slot order, the probability averaged over the group.
template <executor Executor, cache_layer Layer>
void observe(Executor const& on, Layer rows, float const* masses, std::size_t pitch) {
  auto& cache = rows.cache;
  detail::check_layer(rows);
  rows.each([&](slots_held const& n, std::uint32_t) {
    require(pitch >= cache.most_slots(n), "pitch", pitch, "give a row of masses at least as long as the slots held");
  });
  require(masses != nullptr, "masses", 0, "observe feeds the columns with them; give the mass of each slot held");
  using bound = typename std::remove_reference_t<decltype(cache)>::bound_type;
  detail::enqueue(on, cache, rows.who.count * cache.shape().kv_heads, observe_task<bound>{rows.bound(), masses, pitch, rows.layer});
}

/// For engines with an attention of their own: the first piece of a sequence is cut down to the limit by the rule of
/// prompt_end and its survivors are written, in position order; `masses` feed the policy's columns. A piece that fits is
/// written whole. keys, values [sequences, tokens, kv_heads, head_dim], kinds [sequences, tokens]: see arrivals.
/// Reads the columns a fixed number of times (select_lowest), K and V of the survivors once. Two launches, where rows are split four (three
/// if nothing is cut, heads decide together or a score is prepared for a row); one more under a measured budget. No allocation.
/// Throws bad_argument, and changes nothing, if one of these sequences holds tokens already, the piece is longer than max_piece or exceeds the
/// limit where nothing can cut it, keys, values or a mass that the columns ask for are null, or rows of masses are shorter than the piece.
template <executor Executor, cache_layer Layer>
void compress(Executor const& on, Layer rows, float const* keys, float const* values, std::uint32_t tokens,
              prompt_masses const& masses = {}, std::uint8_t const* kinds = nullptr) {
  auto& cache = rows.cache;
  detail::check_piece(rows, tokens);
  rows.each([](slots_held const& n, std::uint32_t) {
    require(n.most == 0, "tokens held", n.most, "compress takes the first piece of a sequence; clear that first");
  });
  require(tokens <= cache.slots().least[rows.layer] || includes(cache.policy().facts().moments, moment::prompt_end), "tokens", tokens,
          "exceeds the limit, and no rule of the policy acts at prompt_end");
  require(tokens <= cache.slots().least[rows.layer] || !cache.token_by_token, "tokens", tokens,
          "exceeds the limit, and the position rule realigns slots after each token that goes; give the prompt to step");
  require(tokens <= cache.slots().least[rows.layer] || !cache.policy().facts().prompt_queries || masses.queries != nullptr, "masses.queries", 0,
          "a score of the policy reads the prompt's; give them");
  mass_part const read = cache.bound().work.staging.stored.reads();
  auto const given = [&](float const* plane, char const* name, mass_part part) {
    require(!includes(read, part) || plane != nullptr, name, 0, "the policy's columns feed on it; give the engine's attention mass");
  };
  given(masses.sum, "masses.sum", mass_part::sum);
  given(masses.squares, "masses.squares", mass_part::squares);
  given(masses.last, "masses.last", mass_part::last);
  given(masses.window, "masses.window", mass_part::window);
  given(masses.young, "masses.young", mass_part::young);
  require(read == mass_part::none || masses.pitch >= tokens, "masses.pitch", masses.pitch, "give rows at least as long as the piece");
  require(keys != nullptr && values != nullptr, "keys or values", 0, "compress writes what stays of both; give the prompt's");
  arrivals const piece{nullptr, keys, values, tokens, false, 0, kinds, rows.who.first};
  rows.alike([](slots_held const& n) { return n; }, [&](Layer some, slots_held const&) { detail::stage(on, some, piece, masses, nullptr); });
}

}  // namespace kvsift
