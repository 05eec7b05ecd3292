#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include <kvsift/budget/competing.hpp>
#include <kvsift/budget/heads.hpp>
#include <kvsift/budget/layers.hpp>
#include <kvsift/budget/pyramid.hpp>
#include <kvsift/budget/ratio.hpp>
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

// Policies whose parts are chosen at run time: programs, JSON files and tests of random compositions use one instance of
// everything. The choice is made once per decision, outside the loops over slots.
namespace kvsift {

/// Every column of the library, each stored or not.
using all_columns = column_set<attention_sum, attention_square_sum, last_attention, window_attention, observations, key_square_norm,
                               signature, young_attention, token_class>;

namespace detail {

constexpr all_columns no_columns() {
  all_columns none{};
  none.drop_all();
  return none;
}

struct ask_columns {
  constexpr all_columns operator()(auto const& part) const { return unite(no_columns(), part.columns()); }
};
struct ask_looks {
  constexpr arriving operator()(auto const& part) const { return looks_at(part); }
};

}  // namespace detail

/// A score source chosen at run time.
class any_score {
 public:
  constexpr any_score(oldest_first = {}) {}
  constexpr any_score(even_first) : kind_(kind::even) {}
  constexpr any_score(random_draw s) : kind_(kind::random), random_(s) {}
  constexpr any_score(accumulated_attention) : kind_(kind::accumulated) {}
  constexpr any_score(mean_attention) : kind_(kind::mean) {}
  constexpr any_score(newest_query_attention) : kind_(kind::newest_query) {}
  constexpr any_score(observed_mean s) : kind_(kind::observed), observed_(s) {}
  constexpr any_score(pooled<window_mass> s) : kind_(kind::pooled), pooled_(s) {}
  constexpr any_score(smallest_key_norm) : kind_(kind::key_norm) {}
  constexpr any_score(hamming s) : kind_(kind::hamming), hamming_(s) {}
  constexpr any_score(reservoir_attention s) : kind_(kind::reservoir), reservoir_(s) {}
  constexpr any_score(key_difference) : kind_(kind::difference) {}
  constexpr any_score(expected_mass s) : kind_(kind::expected), expected_(s) {}
  constexpr any_score(by_recipe s) : kind_(kind::recipe), recipe_(s) {}

  /// f(the score source held).
  KVSIFT_CALLS_EITHER
  template <class F>
  KVSIFT_HOST_DEVICE constexpr auto visit(F const& f) const {
    switch (kind_) {
      case kind::even: return f(even_first{});
      case kind::random: return f(random_);
      case kind::accumulated: return f(accumulated_attention{});
      case kind::mean: return f(mean_attention{});
      case kind::newest_query: return f(newest_query_attention{});
      case kind::observed: return f(observed_);
      case kind::pooled: return f(pooled_);
      case kind::key_norm: return f(smallest_key_norm{});
      case kind::hamming: return f(hamming_);
      case kind::reservoir: return f(reservoir_);
      case kind::difference: return f(key_difference{});
      case kind::expected: return f(expected_);
      case kind::recipe: return f(recipe_);
      case kind::oldest: break;
    }
    return f(oldest_first{});
  }
  constexpr all_columns columns() const { return visit(detail::ask_columns{}); }
  constexpr arriving looks_at() const { return visit(detail::ask_looks{}); }
  /// The model's encoding, for a score that undoes it.
  constexpr void encoded_by(rotary_encoding const& e) { expected_.encoding = kind_ == kind::expected ? e : rotary_encoding{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const&, std::uint32_t) const { return 0; }  // never asked: see visit
  friend constexpr bool operator==(any_score const&, any_score const&) = default;

 private:
  enum class kind : std::uint32_t {
    oldest, even, random, accumulated, mean, newest_query, observed, pooled, key_norm, hamming, reservoir, difference, expected, recipe
  };
  kind kind_ = kind::oldest;
  random_draw random_{};
  observed_mean observed_{};
  pooled<window_mass> pooled_{};
  kvsift::hamming hamming_{};
  reservoir_attention reservoir_{};
  expected_mass expected_{};
  by_recipe recipe_{};
};

/// A ranked scope chosen at run time.
class any_scope {
 public:
  constexpr any_scope(all_slots = {}) {}
  constexpr any_scope(most_varying s) : kind_(kind::varying), forced_{s.count, 0, 0} {}
  constexpr any_scope(forced_then_varying s) : kind_(kind::forced), forced_(s) {}

  KVSIFT_CALLS_EITHER
  template <class F>
  KVSIFT_HOST_DEVICE constexpr auto visit(F const& f) const {
    switch (kind_) {
      case kind::varying: return f(most_varying{forced_.count});
      case kind::forced: return f(forced_);
      case kind::all: break;
    }
    return f(all_slots{});
  }
  constexpr all_columns columns() const { return visit(detail::ask_columns{}); }
  KVSIFT_HOST_DEVICE constexpr std::uint32_t excluded() const { return forced_.count; }
  KVSIFT_HOST_DEVICE float operator()(auto const&, std::uint32_t) const { return 0; }  // never asked: see visit
  friend constexpr bool operator==(any_scope const&, any_scope const&) = default;

 private:
  enum class kind : std::uint32_t { all, varying, forced };
  kind kind_ = kind::all;
  forced_then_varying forced_{0, 0, 0};
};

/// A budget allocator chosen at run time, static or split by measurement.
class any_budget {
 public:
  using base = std::variant<unlimited, uniform_budget, layer_budgets, head_budgets, pyramid_budget, ratio_budget>;

  constexpr any_budget() = default;
  template <class B>
  requires std::constructible_from<base, B>
  constexpr any_budget(B b) : base_(std::move(b)) {}
  template <class B>
  constexpr any_budget(competing_budget<B> b) : any_budget(std::move(b.base)) {
    shares_ = b.shares;
  }
  constexpr any_budget(recovering_budget b) : recovering_(b.shares) {}

  constexpr std::uint32_t limit(cache_shape const& shape, std::uint32_t layer, std::uint32_t head) const {
    return std::visit([&](auto const& b) { return b.limit(shape, layer, head); }, base_);
  }
  constexpr all_columns columns() const {
    return recovering_ ? detail::ask_columns{}(*recovering_) : detail::no_columns();
  }
  template <class F>
  constexpr void with_measured(F const& f) const {
    if (shares_) f(*shares_);
    if (recovering_) f(*recovering_);
  }
  constexpr bool measured() const { return shares_ || recovering_; }
  /// What the limits are before a measurement splits them.
  constexpr base const& limits() const { return base_; }
  /// Other limits, split the same way.
  constexpr any_budget with_limits(base b) const {
    any_budget other = *this;
    other.base_ = std::move(b);
    return other;
  }
  friend constexpr bool operator==(any_budget const&, any_budget const&) = default;

 private:
  base base_{};
  std::optional<competing_shares> shares_{};
  std::optional<recovering_shares> recovering_{};
};

using any_rule = rule<any_score, any_scope>;
using any_policy = policy<any_budget, any_rule, any_rule>;

namespace detail {

constexpr any_rule idle() {
  any_rule none;
  none.when = moment{};
  return none;
}
template <class Rule>
constexpr any_rule as_any(Rule const& r) {
  return any_rule{r.when, r.score, r.guards, r.scope, r.who, r.ranked, r.stride, r.silent};
}
constexpr any_rule nth(rule_list<> const&, unsigned) { return idle(); }
template <class First, class... Rest>
constexpr any_rule nth(rule_list<First, Rest...> const& rules, unsigned i) {
  return i == 0 ? as_any(rules.first) : nth(rules.rest, i - 1);
}

}  // namespace detail

/// The same policy with its parts chosen at run time: takes the same decisions as `p`, bit for bit.
template <class Budget, class... Rules>
constexpr any_policy to_any(policy<Budget, Rules...> const& p) {
  static_assert(sizeof...(Rules) <= 2, "kvsift: any_policy holds two rules");
  return any_policy{p.budget, detail::nth(p.rules, 0), detail::nth(p.rules, 1)};
}

/// The policy for a model whose queries and keys are encoded so: for scores that undo it.
constexpr any_policy with_encoding(any_policy p, rotary_encoding const& e) {
  p.rules.first.score.encoded_by(e);
  p.rules.rest.first.score.encoded_by(e);
  return p;
}

/// The rule of `p` that acts first at one of the moments `when`, asked at no others; idle if there is none.
constexpr any_rule restrict_to(any_policy const& p, moment when) {
  any_rule found = includes(p.rules.first.when, when) ? p.rules.first : p.rules.rest.first;
  found.when = found.when & when;
  return found;
}

}  // namespace kvsift
