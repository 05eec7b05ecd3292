#pragma once

#include <cstdint>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/policy/rule.hpp>

namespace kvsift {

/// The rules of a policy, in order. At a moment the first rule that is asked there acts.
template <class... Rules>
struct rule_list;

template <>
struct rule_list<> {
  static constexpr auto columns() { return column_set<>{}; }
  friend constexpr bool operator==(rule_list const&, rule_list const&) = default;
};

template <class First, class... Rest>
struct rule_list<First, Rest...> {
  First first{};
  rule_list<Rest...> rest{};

  constexpr auto columns() const { return unite(first.columns(), rest.columns()); }
  friend constexpr bool operator==(rule_list const&, rule_list const&) = default;
};

/// What a policy's rules need to know of the cache they work on.
struct policy_facts {
  moment moments{};               ///< every moment at which some rule acts
  bool shared = false;             ///< some rule's heads decide together
  bool each = false;               ///< some rule's heads decide for themselves: not legal beside those
  bool neighbours = false;         ///< some rule of decode looks at neighbouring slots: not legal
  bool keys_too_late = false;      ///< some rule asked elsewhere than at prompt_end reads keys: not legal
  bool prompt_queries = false;     ///< some rule reads the queries of a prompt, and keys that are encoded
  score_words words{};             ///< that some rule's score works in
  std::uint32_t stride = 0;        ///< tokens of the pieces that a long prompt is taken in; 0: it is taken whole
  bool silent = false;             ///< see rule
  bool whole_and_pieces = false;   ///< rules ask for both: not legal
  bool window = true;              ///< what the rules leave are the first `sinks` positions and the newest
  std::uint32_t sinks = 0;
  bool draws = false;              ///< some rule's score takes draws that may be supplied
  bool summed = false;             ///< some rule's values are written to an array before a decision
  arriving looks_at{};             ///< the most that some rule's score looks at of an arriving token
  bool looks_too_late = false;     ///< it is asked at a moment when none arrives
  std::uint64_t least_limit = 0;  ///< of a head, so that every rule always finds a slot that may go
  bool competing = false;         ///< some rule's heads compete
  bool competing_elsewhere = false;  ///< in decode or under a ranked scope: not legal
  std::uint64_t guarded = 0;      ///< slots that such a rule surely guards in a prompt that does not fit
  std::uint64_t decode_limit = 0; ///< least_limit of the rules that act after it
};

namespace detail {

constexpr void gather(rule_list<> const&, policy_facts&) {}
template <class First, class... Rest>
constexpr void gather(rule_list<First, Rest...> const& rules, policy_facts& facts) {
  if (rules.first.when != moment{}) {
    bool const others_sinks = facts.moments != moment{} && facts.sinks != rules.first.guards.sinks;
    facts.window = facts.window && leaves_a_window(rules.first) && !others_sinks;
    facts.sinks = rules.first.guards.sinks;
  }
  facts.moments = facts.moments | rules.first.when;
  facts.summed = facts.summed || values_are_summed<First>;
  if (arriving const seen = looks_at(rules.first.score); rules.first.when != moment{} && seen != arriving::nothing) {
    facts.looks_at = seen > facts.looks_at ? seen : facts.looks_at;
    facts.looks_too_late = facts.looks_too_late || rules.first.when != moment::before_append;
  }
  if (rules.first.when != moment{} && rules.first.needs() > facts.least_limit) facts.least_limit = rules.first.needs();
  if (rules.first.when != moment{}) (rules.first.who == unit::shared ? facts.shared : facts.each) = true;
  if (includes(rules.first.when, moment::before_append | moment::after_attention) && needs_slots_in_order(rules.first.score))
    facts.neighbours = true;
  if (rules.first.when != moment{}) {
    facts.words = facts.words.most(words_of(rules.first.score));
    facts.prompt_queries = facts.prompt_queries || reads_prompt_queries(rules.first.score);
    facts.keys_too_late = facts.keys_too_late || (rules.first.when != moment::prompt_end && reads_prompt_keys(rules.first.score));
  }
  bool const later = includes(rules.first.when, moment::before_append | moment::after_attention);
  if (rules.first.when != moment{} && rules.first.who == unit::competing) {
    facts.competing = true;
    facts.competing_elsewhere = facts.competing_elsewhere || later || rules.first.scope.excluded() != 0;
    facts.guarded = std::uint64_t{rules.first.guards.sinks} + rules.first.guards.newest;
  } else if (later && rules.first.needs() > facts.decode_limit) {
    facts.decode_limit = rules.first.needs();
  }
  if (includes(rules.first.when, moment::piece_end) && facts.stride == 0) {
    facts.stride = rules.first.stride;
    facts.silent = rules.first.silent;
  }
  facts.draws = facts.draws || (rules.first.when != moment{} && takes_draws(rules.first.score));
  gather(rules.rest, facts);
}

template <class Columns>
constexpr void add_carried(rule_list<> const&, Columns&) {}
template <class First, class... Rest, class Columns>
constexpr void add_carried(rule_list<First, Rest...> const& rules, Columns& wanted) {
  if (rules.first.when != moment::prompt_end) wanted.add(rules.first.columns());
  add_carried(rules.rest, wanted);
}

}  // namespace detail

/// A budget and the rules that keep it. A constexpr value: compare it, print it, pass it to a kv_tensor.
///
///     constexpr auto mine = policy{uniform_budget{512}, over_budget(mean_attention{}, protect{.newest = 10})};
template <budget_allocator Budget, class... Rules>
struct policy {
  Budget budget{};
  rule_list<Rules...> rules{};

  constexpr policy() = default;
  constexpr explicit policy(Budget b, Rules... r) : budget(b), rules(list(r...)) {}

  /// The columns that this policy asks for: the union of what its parts read.
  constexpr auto columns() const {
    if constexpr (requires { budget.columns(); }) return unite(rules.columns(), budget.columns());
    else return rules.columns();
  }
  /// The same without those that are read at prompt_end alone: what is stored of a slot once its prompt is in.
  constexpr auto carried() const {
    auto kept = columns(), wanted = kept;
    wanted.drop_all();
    detail::add_carried(rules, wanted);
    kept.keep_only(wanted);
    return kept;
  }
  constexpr policy_facts facts() const {
    policy_facts f;
    detail::gather(rules, f);
    f.whole_and_pieces = includes(f.moments, moment::prompt_end) && f.stride != 0;
    return f;
  }
  friend constexpr bool operator==(policy const&, policy const&) = default;

 private:
  static constexpr rule_list<> list() { return {}; }
  template <class First, class... Rest>
  static constexpr rule_list<First, Rest...> list(First first, Rest... rest) {
    return {first, list(rest...)};
  }
};

template <budget_allocator Budget, class... Rules>
policy(Budget, Rules...) -> policy<Budget, Rules...>;

}  // namespace kvsift
