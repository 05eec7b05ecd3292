#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/fields.hpp>
#include <kvsift/policy/named.hpp>

// How fields become policies: what a bare name leaves open (derive_*, as its original does), and what fields exclude
// one another (make_*). Called by the entries of the catalogue.
namespace kvsift {

namespace detail {

constexpr std::uint32_t three_tenths(std::uint32_t budget) {
  return static_cast<std::uint32_t>(std::uint64_t{budget} * 3 / 10);
}

inline void derive_nothing(policy_fields&, std::uint32_t) {}
inline void derive_sinks(policy_fields& f, std::uint32_t budget) {
  f.otherwise("budget", budget);
  f.otherwise("sinks", 4u);
}
inline void derive_window(policy_fields& f, std::uint32_t budget) {
  derive_sinks(f, budget);
  f.otherwise("recent", 10u);
}
/// H2O's even split of EasyKV: three tenths are the recent window.
inline void derive_recent(policy_fields& f, std::uint32_t budget) {
  f.otherwise("budget", budget);
  f.otherwise("recent", three_tenths(f["budget"]));
}
inline void derive_excluded(policy_fields& f, std::uint32_t budget) {
  f.otherwise("budget", budget);
  std::uint32_t const b = f["budget"];
  f.otherwise("newest", std::min(10u, b - 1));
  bool const reference = f.has("profile") && f.word("profile") == "reference";  // the newest count among the excluded
  f.otherwise("excluded", reference             ? std::min(three_tenths(b) + 1, b)
                          : three_tenths(b) > 9 ? three_tenths(b) - 9
                                                : 0u);
}
inline void derive_deviation(policy_fields& f, std::uint32_t budget) {
  derive_excluded(f, budget);
  f.otherwise("score", "mean");
}
inline void derive_streaming(policy_fields& f, std::uint32_t budget) {
  f.otherwise("sinks", 4u);
  if (f.has("recent")) return;
  std::uint32_t const b = f.has("budget") ? f["budget"] : budget;
  if (b <= f["sinks"])
    refuse_field("budget", std::to_string(b),
                 f.policy + " needs more than its " + std::to_string(f["sinks"]) + " sinks");
  f.set("recent", b - f["sinks"]);
}
/// EasyKV: pieces of 8 where they fit; a tenth of the budget is the recent window, or with the piece the slots out of
/// scope.
inline void derive_strided(policy_fields& f, std::uint32_t budget) {
  f.otherwise("budget", budget);
  std::uint32_t const b = f["budget"];
  f.otherwise("stride", std::clamp(b / 4, 1u, 8u));
  f.otherwise("sinks", std::min(4u, b / 4));
  f.otherwise("score", "mean");
  f.otherwise("scope", f.has("recent") ? "window" : "deviation");
  std::uint32_t const tenth = b / 10, s = f["stride"];
  if (f.word("scope") == "window") return f.otherwise("recent", std::max(1u, tenth));
  f.otherwise("newest", std::min(10u, b / 4));
  bool const reference = f.has("profile") && f.word("profile") == "reference";
  std::uint32_t const beyond = tenth + s > 10 ? tenth + s - 10 : 0;
  f.otherwise("excluded", reference ? std::min(tenth + s + f["sinks"], b + 1 - std::min(b, s)) : b < 40 ? 0u : beyond);
}

inline void derive_snapkv(policy_fields& f, std::uint32_t budget) {
  f.otherwise("budget", budget);
  std::uint32_t const b = f["budget"];
  f.otherwise("window", b > 64 ? 32u : b > 1 ? b / 2 : 1u);
  f.otherwise("kernel", 7u);
  f.otherwise("pool", "max");
}

/// What the SnapKV family has in common. Throws bad_argument for a window or a kernel that cannot be.
struct snapkv_fields {
  std::uint32_t budget, window, kernel;
  pooling pool;
  group_reduction reduce;

  explicit snapkv_fields(policy_fields const& f)
      : budget(f["budget"]),
        window(f["window"]),
        kernel(f["kernel"]),
        pool(f.word("pool") == "max" ? pooling::max : pooling::avg),
        reduce(f.word("group") == "mean"  ? group_reduction::mean
               : f.word("group") == "max" ? group_reduction::max
                                          : group_reduction::sum) {
    if (kernel % 2 == 0)
      refuse_field("kernel", std::to_string(kernel),
                   "a slot has as many neighbours before it as behind; give an odd number");
    if (window >= budget)
      refuse_field("window", std::to_string(window),
                   "must leave room below the budget of " + std::to_string(budget) + "; give a shorter window");
  }
};

inline any_policy make_snapkv(policy_fields const& f) {
  snapkv_fields const s(f);
  return to_any(snapkv(s.budget, s.window, s.kernel, s.pool, s.reduce));
}

inline any_policy make_ada_snapkv(policy_fields const& f) {
  snapkv_fields const s(f);
  return to_any(ada_snapkv(s.budget, s.window, s.kernel, s.pool, f.fraction("floor"), s.reduce));
}

/// The codes of lsh, of 16 bits unless the fields or a given projection say otherwise.
inline any_policy make_lsh(policy_fields const& f) {
  std::uint32_t const given = f.projection_bits;
  std::uint32_t const bits = f.has("bits") ? f["bits"] : given != 0 ? given : 16;
  if (given != 0 && bits != given)
    refuse_field("bits", std::to_string(bits),
                 "the projection has " + std::to_string(given) + "; leave bits out or make them agree");
  return to_any(
      lsh(f["budget"], f["sinks"], f["recent"], signature{bits, f.seed(), f.projection}, f.word("compare") == "query"));
}

/// The recipes that a text states: separated by commas, their parts by '+': special, punctuation, window:PART, heavy:PART, full.
/// Throws bad_argument.
inline recipe_list parse_recipes(std::string const& text) {
  recipe_list list;
  std::string_view rest = text;
  auto const refuse = [&](std::string const& remedy) { refuse_field("recipes", "'" + text + "'", remedy); };
  for (bool more = true; more;) {
    std::string_view parts = rest.substr(0, rest.find(','));
    more = parts.size() < rest.size();
    rest.remove_prefix(std::min(parts.size() + 1, rest.size()));
    recipe one;
    for (bool another = true; another;) {
      std::string_view const part = parts.substr(0, parts.find('+'));
      another = part.size() < parts.size();
      parts.remove_prefix(std::min(part.size() + 1, parts.size()));
      std::string_view const name = part.substr(0, part.find(':'));
      bool const valued = name.size() < part.size();
      auto const value = [&] {
        double const x = valued ? std::get<double>(parse_field({"recipes", field_kind::fraction, 0, 1, ""}, part.substr(name.size() + 1))) : 0;
        if (!(x > 0 && x <= 1)) refuse("'" + std::string(part) + "' is not " + std::string(name) + ":P with a part P of the prompt above 0 and at most 1");
        return x;
      };
      if (name == "window") one.window = value();
      else if (name == "heavy") one.heavy = value();
      else if (name == "special" && !valued) one.kinds |= static_cast<std::uint32_t>(token_kind::special);
      else if (name == "punctuation" && !valued) one.kinds |= static_cast<std::uint32_t>(token_kind::punctuation);
      else if (name == "full" && !valued) one.everything = true;
      else refuse("'" + std::string(part) + "' is none of special, punctuation, window:P, heavy:P and full");
    }
    if (list.count == recipe_list::most) refuse("give at most " + std::to_string(recipe_list::most));
    if (one.window > 0 && list.window() > 0 && one.window != list.window()) refuse("windows differ; give all recipes the same");
    list.add(one);
  }
  return list;
}

inline any_policy make_hybrid(policy_fields const& f) {
  if (f["sinks"] == 0) refuse_field("sinks", "0", "a recipe may keep nothing else of a prompt; give at least 1");
  return to_any(hybrid(parse_recipes(f.word("recipes")), f.fraction("recovery"), f["sinks"], f["history"]));
}

/// Sinks + recent of a policy that has no other budget. Throws bad_argument.
inline void check_parts(policy_fields const& f, char const* name, std::uint32_t least_sinks) {
  std::uint64_t const slots = std::uint64_t{f["sinks"]} + f["recent"];
  if (f["recent"] == 0) refuse_field("recent", "0", std::string(name) + " keeps at least 1");
  if (f["sinks"] < least_sinks)
    refuse_field("sinks", std::to_string(f["sinks"]),
                 std::string(name) + " keeps at least " + std::to_string(least_sinks));
  if (slots > most_slots || (f.has("budget") && f["budget"] != slots))
    refuse_field(f.has("budget") ? "budget" : "recent", std::to_string(f[f.has("budget") ? "budget" : "recent"]),
                 std::string(name) + " keeps sinks + recent = " + std::to_string(slots) +
                     " slots; leave the budget out or make them agree");
}

inline any_policy make_streaming(policy_fields const& f) {
  check_parts(f, "streaming_llm", 0);
  return to_any(streaming_llm(f["sinks"], f["recent"]));
}

inline any_policy make_reservoir(policy_fields const& f) {
  check_parts(f, "reservoir", 1);
  return to_any(reservoir(f["sinks"], f["recent"], f.seed(), f.draws));
}

inline any_policy make_roco(policy_fields const& f) {
  if (f.word("profile") == "reference")
    return to_any(reference_roco(f["budget"], f["excluded"], f["newest"], f["sinks"]));
  return to_any(roco(f["budget"], f["excluded"], f["newest"], f["sinks"]));
}

inline any_policy make_strided(policy_fields const& f) {
  bool const window = f.word("scope") == "window", reference = f.word("profile") == "reference";
  for (char const* const field : {"recent", "excluded", "newest"}) {
    bool const own = window == (std::string_view(field) == "recent");
    if (f.has(field) && !own)
      refuse_field(field, std::to_string(f[field]), "the scope '" + f.word("scope") + "' has no such field; remove it");
    if (!f.has(field) && own && field != std::string_view("newest"))
      throw bad_argument("policy field '" + std::string(field) + "' is missing; the scope '" + f.word("scope") +
                         "' of strided requires it");
  }
  std::uint32_t const newest = f.has("newest") ? f["newest"] : 10;
  auto const with_scope = [&](auto score) {
    std::uint32_t const budget = f["budget"], stride = f["stride"], sinks = f["sinks"];
    if (window && reference) return to_any(reference_strided(budget, stride, score, protect{sinks, f["recent"]}));
    if (window) return to_any(strided(budget, stride, score, protect{sinks, f["recent"]}));
    if (reference)
      return to_any(
          reference_strided(budget, stride, score, protect{}, forced_then_varying{f["excluded"], newest, sinks}));
    return to_any(strided(budget, stride, score, protect{sinks, newest}, most_varying{f["excluded"]}));
  };
  if (f.word("score") == "last") return with_scope(newest_query_attention{});
  return f.word("score") == "mean" ? with_scope(mean_attention{}) : with_scope(accumulated_attention{});
}

}  // namespace detail

}  // namespace kvsift
