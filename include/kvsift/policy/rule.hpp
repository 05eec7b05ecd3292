#pragma once

#include <cstdint>

#include <kvsift/core/anything.hpp>
#include <kvsift/scope/concepts.hpp>
#include <kvsift/scope/protect.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// When a rule is asked to bring a head back under its limit. A set of these is a sum of them.
enum class moment : std::uint32_t {
  prompt_end = 1,       ///< after a piece that does not fit, over all its slots at once
  before_append = 2,    ///< a full head makes room for the token that arrives
  after_attention = 4,  ///< a head that holds more than its limit, once the step's attention is known
  piece_end = 8,        ///< after a piece of a prompt that does not fit: a head gives up as many slots as the piece brought
  before_piece = 16,    ///< make_room: a piece is announced
};

constexpr moment operator|(moment a, moment b) {
  return static_cast<moment>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr moment operator&(moment a, moment b) {
  return static_cast<moment>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
/// Whether the set has `one`, or any of several.
KVSIFT_HOST_DEVICE constexpr bool includes(moment set, moment one) {
  return (static_cast<std::uint32_t>(set) & static_cast<std::uint32_t>(one)) != 0;
}

/// Who decides together.
enum class unit : std::uint32_t {
  per_head,   ///< each head for itself
  shared,     ///< all heads of a layer by their mean score: one choice for all
  competing,  ///< all heads of a layer by one ranking: how many each keeps differs. At prompt_end, under a measured budget
};

/// Which end of the ranking is counted: tells on ties only. victims: of equals the lower position goes.
/// keepers: of equals the lower position stays.
enum class pick : std::uint32_t { victims, keepers };

/// A part of a rule that holds one of several, chosen at run time: visit(f) calls f with the one it holds.
template <class Part>
concept chosen_at_run_time = requires(Part const& part) { part.visit(takes_anything{}); };

namespace detail {

struct ask_for_preparation {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    return prepared_score<Score>;
  }
};
struct ask_for_order {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    if constexpr (requires { Score::needs_slots_in_order; }) return Score::needs_slots_in_order;
    return false;
  }
};
struct ask_for_keys {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    if constexpr (requires { Score::reads_prompt_keys; }) return Score::reads_prompt_keys;
    return false;
  }
};
struct ask_for_queries {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    if constexpr (requires { Score::reads_prompt_queries; }) return Score::reads_prompt_queries;
    return false;
  }
};
struct ask_for_words {
  template <class Score>
  constexpr score_words operator()(Score const&) const {
    if constexpr (requires { Score::words; }) return Score::words;
    return {};
  }
};
struct ask_for_a_window {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    if constexpr (requires { Score::leaves_a_window; }) return Score::leaves_a_window;
    return false;
  }
};
struct ask_for_draws {
  template <class Score>
  constexpr bool operator()(Score const&) const {
    return requires(Score const& s) { s.draws; };
  }
};
template <class Score>
inline constexpr bool looks_at_neighbours = [] {
  if constexpr (requires { Score::needs_slots_in_order; }) return bool{Score::needs_slots_in_order};
  return false;
}();

}  // namespace detail

/// Whether a score looks at neighbouring slots, which lie in position order at prompt_end only.
template <class Score>
constexpr bool needs_slots_in_order(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_order{});
  else return detail::ask_for_order{}(score);
}

/// Whether a score reads keys, which are at hand at prompt_end only.
template <class Score>
constexpr bool reads_prompt_keys(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_keys{});
  else return detail::ask_for_keys{}(score);
}

/// Whether a score reads a prompt's queries, and its keys as the encoding of their positions left them.
template <class Score>
constexpr bool reads_prompt_queries(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_queries{});
  else return detail::ask_for_queries{}(score);
}

/// Whether what a rule leaves are the first `sinks` positions and the newest, one behind another.
template <class Rule>
constexpr bool leaves_a_window(Rule const& rule) {
  bool ordered = false;
  if constexpr (chosen_at_run_time<decltype(rule.score)>) ordered = rule.score.visit(detail::ask_for_a_window{});
  else ordered = detail::ask_for_a_window{}(rule.score);
  return ordered && rule.guards.pinned == 0 && rule.scope.excluded() == 0;
}

/// Words that a prepared score works in, beside 2 x num_threads.
template <class Score>
constexpr score_words words_of(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_words{});
  else return detail::ask_for_words{}(score);
}

/// Whether a score is prepared for a whole row before it tells of a slot.
template <class Score>
constexpr bool is_prepared(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_preparation{});
  else return prepared_score<Score>;
}

/// Whether a score takes draws that may be supplied instead of counted.
template <class Score>
constexpr bool takes_draws(Score const& score) {
  if constexpr (chosen_at_run_time<Score>) return score.visit(detail::ask_for_draws{});
  else return detail::ask_for_draws{}(score);
}

/// Whether a rule's values are written to an array before its decision, though one head decides.
template <class Rule>
inline constexpr bool values_are_summed = chosen_at_run_time<decltype(Rule::score)> || chosen_at_run_time<decltype(Rule::scope)> ||
                                          prepared_score<decltype(Rule::score)>;

/// At these moments, the slots of lowest score among those that neither the guards nor the ranked scope take out go.
template <score_source Score, ranked_scope Scope = all_slots>
struct rule {
  moment when = moment::after_attention;
  Score score{};
  protect guards{};
  Scope scope{};
  unit who = unit::per_head;
  pick ranked = pick::victims;
  std::uint32_t stride = 1;  ///< tokens of a piece, for piece_end
  bool silent = false;       ///< for piece_end: nothing feeds the columns before the first piece that does not fit

  constexpr auto columns() const { return unite(score.columns(), scope.columns()); }
  /// The least limit of a head at which some slot may always go.
  constexpr std::uint64_t needs() const {
    std::uint64_t const guarded = guards.slots() + scope.excluded();
    if (includes(when, moment::piece_end)) return guarded + stride - 1 > stride ? guarded + stride - 1 : stride;
    return guarded + (includes(when, moment::before_append) ? 1u : 0u);
  }
  friend constexpr bool operator==(rule const&, rule const&) = default;
};

/// One victim a step once the step's attention is known, and the same rule over a prompt that is too long.
template <score_source Score, ranked_scope Scope = all_slots>
constexpr auto over_budget(Score score, protect guards, Scope scope = {}, unit who = unit::per_head) {
  static_assert(!detail::looks_at_neighbours<Score>, "kvsift: slots lie in position order at prompt_end only; ask a pooled score there");
  return rule<Score, Scope>{moment::prompt_end | moment::after_attention, score, guards, scope, who, pick::victims};
}

/// A prompt that is too long is cut in one go.
template <score_source Score>
constexpr auto at_prompt_end(Score score, protect guards, pick ranked = pick::victims, unit who = unit::per_head) {
  return rule<Score>{moment::prompt_end, score, guards, {}, who, ranked};
}

/// A prompt that is too long arrives in pieces of `stride` tokens, and after each every head gives up as many slots; later one
/// victim a step. With stride 1 the prompt is fed like decode. EasyKV (arXiv 2402.06262).
template <score_source Score, ranked_scope Scope = all_slots>
constexpr auto in_pieces(std::uint32_t stride, Score score, protect guards, Scope scope = {}, unit who = unit::per_head) {
  static_assert(!detail::looks_at_neighbours<Score>, "kvsift: slots lie in position order at prompt_end only; ask a pooled score there");
  return rule<Score, Scope>{moment::piece_end | moment::after_attention, score, guards, scope, who, pick::victims, stride};
}

/// A full head makes room before the next token is written, by what it knows so far.
template <score_source Score>
constexpr auto making_room(Score score, protect guards, unit who = unit::per_head) {
  static_assert(!detail::looks_at_neighbours<Score>, "kvsift: slots lie in position order at prompt_end only; ask a pooled score there");
  return rule<Score>{moment::before_append, score, guards, {}, who, pick::victims};
}

}  // namespace kvsift
