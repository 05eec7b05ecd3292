#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/named.hpp>

namespace kvsift {

/// The fields of a policy file. Absent: not stated.
struct policy_fields {
  std::string policy;
  std::optional<std::uint32_t> budget, sinks, recent, newest, excluded, history;
  std::optional<bool> threshold, shared;
  std::optional<std::string> score, profile;
  std::optional<std::uint64_t> seed;
  std::uint32_t pinned_from = 0, pinned = 0;  ///< a span of positions that never goes
};

/// A policy made from fields.
struct catalogue_policy {
  any_policy value;
  bool bounded = true;      ///< false: never evicts, needs a capacity
  std::uint32_t slots = 0;  ///< slots that a head may keep; 0 if not bounded
};

/// One line of the catalogue: what a user may ask for by name.
struct catalogue_entry {
  char const* name;
  char const* alias;     ///< another name for it, or ""
  char const* required;  ///< fields without a default, separated by blanks
  char const* optional;  ///< fields with one
  char const* rule;      ///< what goes first
  char const* score;     ///< formula
  char const* moment;    ///< when, in decode
  char const* bytes;     ///< columns, bytes per slot and KV head
  char const* source;
};

inline constexpr catalogue_entry catalogue[] = {
    {"full", "", "", "", "nothing", "-", "never", "0", "-"},
    {"streaming_llm", "recency", "recent", "sinks budget", "the oldest outside sinks and recent window", "position", "after attention", "0",
     "arXiv 2309.17453"},
    {"random", "", "budget sinks recent", "seed", "a random slot", "draw(seed, layer, head, position, tokens seen)", "before append", "0",
     "cold-compress"},
    {"accumulated_attention", "h2o_head", "budget recent", "sinks", "the lowest sum of attention", "S1", "after attention", "4",
     "arXiv 2306.14048"},
    {"mean_attention", "", "budget recent", "sinks", "the lowest mean attention", "S1 / c", "after attention", "4", "arXiv 2402.06262"},
    {"tova", "", "budget", "shared sinks", "the lowest attention of the newest query", "a(newest query)", "after attention", "4",
     "arXiv 2401.06104"},
    {"roco", "", "budget excluded", "newest sinks profile", "the lowest mean outside the most varying", "S1 / c; scope max(0, S2 / c - (S1 / c)^2)",
     "after attention", "8", "arXiv 2402.06262"},
    {"deviation_scope", "", "budget excluded score", "newest sinks", "the lowest sum or mean outside the most varying",
     "S1 or S1 / c; scope as roco", "after attention", "8", "arXiv 2402.06262"},
    {"recent_global", "", "budget sinks", "", "the oldest outside the sinks", "position", "before append", "0", "cold-compress"},
    {"heavy_hitter", "", "budget sinks recent", "history threshold", "the lowest mean observation",
     "mean of the newest `history` observations", "before append", "4 per observation kept (threshold: 1/8)", "cold-compress, arXiv 2305.17118"},
    {"key_norm", "l2", "budget sinks recent", "", "the largest key norm", "-|k|^2", "before append", "4", "arXiv 2406.11430"},
    {"keep_it_odd", "", "budget sinks recent", "", "even positions, then odd ones", "position mod 2", "before append", "0", "cold-compress"},
};

/// Every name and alias, for messages.
inline std::string catalogue_names() {
  std::string names;
  for (catalogue_entry const& e : catalogue) {
    names += (names.empty() ? "" : ", ") + std::string(e.name);
    if (*e.alias != '\0') names += " (" + std::string(e.alias) + ")";
  }
  return names;
}

/// The line of a name or alias. Throws bad_argument naming what there is.
inline catalogue_entry const& find_policy(std::string_view name) {
  for (catalogue_entry const& e : catalogue)
    if (name == e.name || (*e.alias != '\0' && name == e.alias)) return e;
  throw bad_argument("policy '" + std::string(name) + "' is unknown; there are " + catalogue_names());
}

namespace detail {

inline bool lists(std::string_view fields, std::string_view field) {
  for (std::size_t at = 0; at < fields.size();) {
    std::size_t const end = std::min(fields.find(' ', at), fields.size());
    if (fields.substr(at, end - at) == field) return true;
    at = end + 1;
  }
  return false;
}

[[noreturn]] inline void refuse(std::string const& problem) { throw bad_argument(problem); }

inline void at_least_one(char const* field, std::uint32_t value) {
  if (value < 1) refuse(std::string("policy field '") + field + "' is 0; give at least 1");
}

}  // namespace detail

/// Fills in what a bare name leaves open, from the budget B, as the originals do: streaming_llm 4 sinks; H2O and mean
/// floor(0.3 B) recent; roco newest 10 and floor(0.3 B) - 9 excluded; the others 4 sinks, 10 recent.
inline policy_fields with_defaults(policy_fields f, std::uint32_t budget) {
  f.policy = find_policy(f.policy).name;
  std::string const& p = f.policy;
  if (p == "full") return f;
  std::uint32_t const b = f.budget.value_or(budget);
  std::uint32_t const third = static_cast<std::uint32_t>(std::uint64_t{b} * 3 / 10);
  auto const otherwise = [](auto& field, auto value) {
    if (!field) field = value;
  };
  if (p == "streaming_llm") {
    if (f.recent && f.sinks && !f.budget) return f;
    otherwise(f.sinks, 4u);
    if (!f.recent && b <= *f.sinks)
      detail::refuse("budget is " + std::to_string(b) + "; " + p + " needs more than its " + std::to_string(*f.sinks) + " sinks");
    otherwise(f.recent, b - *f.sinks);
    return f;
  }
  f.budget = b;
  if (p == "accumulated_attention" || p == "mean_attention") otherwise(f.recent, third);
  if (p == "roco" || p == "deviation_scope") {
    otherwise(f.newest, std::min(10u, b > 1 ? b - 1 : 0));
    otherwise(f.excluded, third > 9 ? third - 9 : 0);
    if (p == "deviation_scope") otherwise(f.score, std::string("mean"));
  }
  if (p == "recent_global") otherwise(f.sinks, 4u);
  if (p == "heavy_hitter" || p == "key_norm" || p == "keep_it_odd" || p == "random") {
    otherwise(f.sinks, 4u);
    otherwise(f.recent, 10u);
  }
  return f;
}

/// Makes the policy that the fields state. Throws bad_argument for a missing or foreign field, and for values that
/// leave no slot that may go; the message names field, value, limit and remedy.
inline catalogue_policy make_policy(policy_fields const& given) {
  catalogue_entry const& entry = find_policy(given.policy);
  policy_fields const& f = given;
  std::string const name = entry.name;
  auto const known = [&](char const* field, bool stated) {
    bool const required = detail::lists(entry.required, field);
    if (stated && !required && !detail::lists(entry.optional, field))
      detail::refuse("policy field '" + std::string(field) + "' is not one of " + name + "; it has: " + entry.required +
                     (*entry.optional != '\0' ? std::string(" ") + entry.optional : ""));
    if (!stated && required) detail::refuse("policy field '" + std::string(field) + "' is missing; " + name + " requires it");
  };
  known("budget", f.budget.has_value());
  known("sinks", f.sinks.has_value());
  known("recent", f.recent.has_value());
  known("newest", f.newest.has_value());
  known("excluded", f.excluded.has_value());
  known("history", f.history.has_value());
  known("threshold", f.threshold.has_value());
  known("shared", f.shared.has_value());
  known("score", f.score.has_value());
  known("profile", f.profile.has_value());
  known("seed", f.seed.has_value());
  if (name == "full") return {to_any(full()), false, 0};

  std::uint32_t const sinks = f.sinks.value_or(name == "streaming_llm" ? 4 : 0);
  std::uint32_t const recent = f.recent.value_or(0);
  std::uint32_t const newest = f.newest.value_or(10);
  std::uint32_t const excluded = f.excluded.value_or(0);
  std::uint32_t const budget = name == "streaming_llm" && !f.budget ? sinks + recent : f.budget.value_or(0);
  bool const before = std::string_view(entry.moment) == "before append";
  detail::at_least_one("budget", budget);
  if (budget >= 0x7fffffffu) detail::refuse("policy field 'budget' is " + std::to_string(budget) + "; give less than 2147483647 slots");

  std::uint64_t guarded = 0;
  std::string sum;
  auto const takes = [&](char const* field, std::uint32_t value) {
    guarded += value;
    sum += (sum.empty() ? "" : " + ") + std::string(field) + " " + std::to_string(value);
  };
  if (name == "tova" || name == "recent_global") {
    takes("sinks", sinks);
    if (sinks >= budget) detail::refuse("policy field 'sinks' is " + std::to_string(sinks) + "; it must be below the budget of " + std::to_string(budget) + "; raise the budget");
  } else if (name == "streaming_llm") {
    detail::at_least_one("recent", recent);
    takes("sinks", sinks);
    takes("recent", recent);
    if (f.budget && *f.budget != guarded)
      detail::refuse("policy field 'budget' is " + std::to_string(*f.budget) + "; streaming_llm keeps " + sum + " = " + std::to_string(guarded) + "; leave it out or make them agree");
  } else {
    takes("sinks", sinks);
    if (name == "roco" || name == "deviation_scope") {
      takes("newest", newest);
      takes("excluded", excluded);
    } else {
      takes("recent", recent);
    }
    if (guarded > budget || (before && guarded == budget))
      detail::refuse("policy field 'budget' is " + std::to_string(budget) + "; " + sum + " = " + std::to_string(guarded) +
                     " leave no slot that may go; raise the budget or protect less");
  }
  if (guarded + f.pinned > budget)
    detail::refuse("pinned positions are " + std::to_string(f.pinned) + "; with " + sum + " they exceed the budget of " + std::to_string(budget) + "; pin fewer");

  any_policy made;
  if (name == "streaming_llm") {
    made = to_any(streaming_llm(sinks, recent));
  } else if (name == "random") {
    made = to_any(random_eviction(budget, sinks, recent, f.seed.value_or(0)));
  } else if (name == "accumulated_attention") {
    made = to_any(accumulated_attention_policy(budget, recent, sinks));
  } else if (name == "mean_attention") {
    made = to_any(mean_attention_policy(budget, recent, sinks));
  } else if (name == "tova") {
    made = to_any(tova(budget, f.shared.value_or(false), sinks));
  } else if (name == "roco") {
    if (f.profile.value_or("fixed") != "fixed") detail::refuse("policy field 'profile' is '" + *f.profile + "'; roco has 'fixed'");
    made = to_any(roco(budget, excluded, newest, sinks));
  } else if (name == "deviation_scope") {
    if (*f.score != "mean" && *f.score != "accumulated")
      detail::refuse("policy field 'score' is '" + *f.score + "'; give 'accumulated' or 'mean'");
    made = *f.score == "mean" ? to_any(roco(budget, excluded, newest, sinks)) : to_any(accumulated_deviation(budget, excluded, newest, sinks));
  } else if (name == "recent_global") {
    made = to_any(recent_global(budget, sinks));
  } else if (name == "heavy_hitter") {
    std::uint32_t const history = f.history.value_or(1);
    detail::at_least_one("history", history);
    if (history > 65536) detail::refuse("policy field 'history' is " + std::to_string(history) + "; give at most 65536");
    made = to_any(heavy_hitter(budget, sinks, recent, history, f.threshold.value_or(false)));
  } else if (name == "key_norm") {
    made = to_any(key_norm(budget, sinks, recent));
  } else {
    made = to_any(keep_it_odd(budget, sinks, recent));
  }
  for (any_rule* r : {&made.rules.first, &made.rules.rest.first}) {
    r->guards.pinned_from = f.pinned_from;
    r->guards.pinned = f.pinned;
  }
  return {made, true, budget};
}

}  // namespace kvsift
