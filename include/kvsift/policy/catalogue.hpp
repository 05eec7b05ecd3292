#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <kvsift/core/check.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/fields.hpp>
#include <kvsift/policy/from_fields.hpp>
#include <kvsift/policy/named.hpp>

// The policies that a user may ask for by name. A new one is one entry here: everything else reads the entries.
namespace kvsift {

struct catalogue_entry {
  char const* name;
  char const* alias;   ///< another name for it, or ""
  char const* fields;  ///< separated by blanks: `f` is required in a policy file, `f=value` has that default, `f?` may be left out
  any_policy (*make)(policy_fields const&);
  void (*derive)(policy_fields&, std::uint32_t budget);  ///< fills in what a bare name leaves open, as its original does
  char const* goes;    ///< what goes first
  char const* score;   ///< formula
  char const* source;
  char const* note;    ///< where an original does otherwise, and what is done here; or ""
};

inline constexpr catalogue_entry catalogue[] = {
    {"full", "", "", [](policy_fields const&) { return to_any(full()); }, detail::derive_nothing,
     "nothing", "-", "-",
     ""},
    {"streaming_llm", "recency", "sinks=4 recent budget?", detail::make_streaming, detail::derive_streaming,
     "the oldest outside sinks and recent window", "position", "arXiv 2309.17453",
     "The paper numbers the survivors 0, 1, 2 ... again: positions `in_cache`; with `original` they keep their own."},
    {"random", "", "budget sinks recent seed=0",
     [](policy_fields const& f) { return to_any(random_eviction(f["budget"], f["sinks"], f["recent"], f.seed())); }, detail::derive_window,
     "a random slot", "draw(seed, layer, head, position, tokens seen)", "cold-compress",
     "cold-compress draws anew for every slot and step from one generator that is never seeded again; here a draw is counted from what"
     " it is for, the same on every executor."},
    {"accumulated_attention", "h2o_head", "budget recent sinks=0",
     [](policy_fields const& f) { return to_any(accumulated_attention_policy(f["budget"], f["recent"], f["sinks"])); }, detail::derive_recent,
     "the lowest sum of attention", "S1", "arXiv 2306.14048",
     "Of EasyKV, which gives three tenths of the budget to the recent window; the paper halves it."},
    {"mean_attention", "", "budget recent sinks=0",
     [](policy_fields const& f) { return to_any(mean_attention_policy(f["budget"], f["recent"], f["sinks"])); }, detail::derive_recent,
     "the lowest mean attention", "S1 / c", "arXiv 2402.06262",
     ""},
    {"tova", "", "budget shared=false sinks=0",
     [](policy_fields const& f) { return to_any(tova(f["budget"], f.truth("shared"), f["sinks"])); },
     [](policy_fields& f, std::uint32_t budget) { f.otherwise("budget", budget); },
     "the lowest attention of the newest query", "a(newest query)", "arXiv 2401.06104",
     "The paper decides for all heads of a layer together (`shared`), EasyKV for each head, which is the default."},
    {"roco", "", "budget excluded newest=10 sinks=0 profile=fixed",
     detail::make_roco, detail::derive_excluded,
     "the lowest mean outside the most varying", "S1 / c; scope max(0, S2 / c - (S1 / c)^2)", "arXiv 2402.06262",
     "EasyKV does not protect its newest 10: it gives them a deviation of 1e9 and ranks them first, so that a small `excluded` lets "
     "some go (profile `reference`). Here they are out of reach."},
    {"deviation_scope", "", "budget excluded score newest=10 sinks=0",
     [](policy_fields const& f) {
       if (f.word("score") == "last") detail::refuse_field("score", "'last'", "deviation_scope takes accumulated or mean; a prompt in strides takes all three");
       return f.word("score") == "mean" ? to_any(roco(f["budget"], f["excluded"], f["newest"], f["sinks"]))
                                        : to_any(accumulated_deviation(f["budget"], f["excluded"], f["newest"], f["sinks"]));
     },
     detail::derive_deviation,
     "the lowest sum or mean outside the most varying", "S1 or S1 / c; scope as roco", "arXiv 2402.06262",
     "As `roco`."},
    {"strided", "", "budget stride sinks=4 score scope recent? excluded? newest? profile=fixed", detail::make_strided,
     detail::derive_strided,
     "as many slots as a piece brought, then one a step", "S1, S1 / c or a(newest query); all slots, or scope as roco", "arXiv 2402.06262",
     "In EasyKV pieces that evict nothing feed no sums, and newest and sinks rank instead of being out of reach (profile `reference`)."},
    {"reservoir", "", "sinks recent budget? seed=0", detail::make_reservoir, detail::derive_streaming,
     "the oldest recent token, or a start token it displaces", "a(newest query), draw(seed, token, layer, head)", "kv-cache-sampling",
     "The start part are the held tokens of lowest position, whatever they are; a draw that is not needed is skipped, not saved."},
    {"recent_global", "", "budget sinks",
     [](policy_fields const& f) { return to_any(recent_global(f["budget"], f["sinks"])); }, detail::derive_sinks,
     "the oldest outside the sinks", "position", "cold-compress",
     "cold-compress never fills the slots between a prompt shorter than its sinks and those; here room is filled first."},
    {"heavy_hitter", "", "budget sinks recent history=1 threshold=false",
     [](policy_fields const& f) {
       return to_any(heavy_hitter(f["budget"], f["sinks"], f["recent"], f["history"], f.truth("threshold")));
     },
     detail::derive_window,
     "the lowest mean observation", "mean of the newest `history` observations", "cold-compress, arXiv 2305.17118",
     "cold-compress scores an empty slot 0, so that with `threshold` a token goes while there is room; here room is filled first. A "
     "whole prompt stays one observation, as there."},
    {"snapkv", "", "budget window kernel pool group=mean", detail::make_snapkv, detail::derive_snapkv,
     "nothing", "window attention, pooled (prompt only)", "arXiv 2404.14469",
     "cold-compress moves only head 0 on after the prompt and evicts the first token first. Here the prompt is cut, then nothing goes:"
     " the cache grows, and `decode` bounds it."},
    {"ada_snapkv", "", "budget window kernel pool floor=0.2 group=mean", detail::make_ada_snapkv, detail::derive_snapkv,
     "nothing", "as snapkv, slots of a head by one ranking over the layer (prompt only)", "arXiv 2407.11550",
     "Published rounding loses up to a slot a head; here largest remainders give away exactly what was promised."},
    {"key_norm", "l2", "budget sinks recent",
     [](policy_fields const& f) { return to_any(key_norm(f["budget"], f["sinks"], f["recent"])); }, detail::derive_window,
     "the largest key norm", "-|k|^2", "arXiv 2406.11430",
     "cold-compress subtracts from the largest norm of all heads, in bf16: different norms tie, and then the wrong one goes. Here "
     "norms are compared within the head, in float32."},
    {"keydiff", "", "budget sinks=0 recent=0",
     [](policy_fields const& f) { return to_any(keydiff(f["budget"], f["sinks"], f["recent"])); },
     [](policy_fields& f, std::uint32_t budget) { f.otherwise("budget", budget); },
     "nothing", "-cos(k, sum of k / |k|) (prompt only)", "arXiv 2504.15364",
     "The paper compresses a long prompt block by block; here it is cut once, at its end."},
    {"expected_attention", "", "budget sinks=4 recent=0 future=512",
     [](policy_fields const& f) { return to_any(expected_attention(f["budget"], {}, f["sinks"], f["recent"], f["future"])); },
     [](policy_fields& f, std::uint32_t budget) { f.otherwise("budget", budget); },
     "nothing", "(mean of softmax(k . R m / sqrt D + k' R S R' k / 2D)) |v| (prompt only)", "arXiv 2510.00636",
     "NVIDIA's kvpress takes queries from the layer's input again; here they are turned back, by the model's encoding (`with_encoding`). In"
     " decode it counts the positions to come from the cache's length, not the text's."},
    {"keep_it_odd", "", "budget sinks recent",
     [](policy_fields const& f) { return to_any(keep_it_odd(f["budget"], f["sinks"], f["recent"])); }, detail::derive_window,
     "even positions, then odd ones", "position mod 2", "cold-compress",
     "cold-compress protects the first slots, not the first positions, which differ after a short prompt. Here sinks are positions."},
    {"lsh", "", "budget sinks recent compare bits? seed=0", detail::make_lsh,
     [](policy_fields& f, std::uint32_t budget) {
       detail::derive_window(f, budget);
       f.otherwise("compare", "key");
     },
     "the key whose signature differs most from the arriving one", "-Hamming distance of sign codes", "arXiv 2412.16187",
     "The program compares keys, the paper queries (`compare`). It stores a byte a bit and seeds nothing; here bits are packed, and "
     "the projection is drawn from `seed` or given."},
    {"hybrid", "", "sinks=4 recovery=0.9 recipes=window:0.1,window:0.1+heavy:0.25,window:0.1+heavy:0.5,full history=1", detail::make_hybrid,
     detail::derive_nothing,
     "what the head's recipe does not keep", "mean of observations, or position", "cold-compress, arXiv 2310.01801",
     "cold-compress falls back to the first recipe where none recovers enough, keeps parts of the cache's length, counts BOS twice, and "
     "leaves a slot the history of its victim; a token that its head drops does not attend even to itself. Here the last recipe is "
     "the fallback, parts are of the prompt, limits are what was kept, and a token goes after it attended."},
};

/// A name under which an original's setting of a policy is known: the policy, and the fields that the name stands for.
struct catalogue_alias {
  char const* name;
  char const* policy;
  char const* fields;  ///< `f=value`, separated by blanks
};

inline constexpr catalogue_alias aliases[] = {
    {"scissorhands", "heavy_hitter", "history=400 threshold=true"},  // cold-compress's setting of arXiv 2305.17118
    {"ada", "ada_snapkv", ""},                                       // Ada-KV, as CoKV and others call it
    {"fastgen", "hybrid",
     "recipes=special,special+punctuation,special+punctuation+heavy:0.3,special+punctuation+heavy:0.3+window:0.3,full"},
    {"h2o_head_std_avg", "roco", ""},                                // EasyKV before it was called roco
    {"h2o_head_avg", "mean_attention", ""},                          // and its ablations: h2o_head under the mean,
    {"h2o_head_std", "deviation_scope", "score=accumulated"},        // and under the scope
};

/// A name of the originals that is no policy here, and what to write instead.
struct other_name {
  char const* name;
  char const* remedy;
};

inline constexpr other_name other_names[] = {
    {"h2o", "means two things; write accumulated_attention (EasyKV's h2o_head) or heavy_hitter (cold-compress's h2o)"},
};

/// Every name and alias, for messages.
inline std::string catalogue_names() {
  std::string names;
  for (catalogue_entry const& e : catalogue) {
    names += (names.empty() ? "" : ", ") + std::string(e.name);
    if (*e.alias != '\0') names += " (" + std::string(e.alias) + ")";
  }
  for (catalogue_alias const& a : aliases) names += ", " + std::string(a.name);
  return names;
}

/// Whether find_policy knows what to say of a name.
constexpr bool is_policy_name(std::string_view name) {
  bool known = false;
  for (catalogue_entry const& e : catalogue) known = known || name == e.name || (*e.alias != '\0' && name == e.alias);
  for (catalogue_alias const& a : aliases) known = known || name == a.name;
  for (other_name const& a : other_names) known = known || name == a.name;
  return known;
}

/// The entry of a name or alias. Throws bad_argument naming what there is.
inline catalogue_entry const& find_policy(std::string_view name) {
  for (catalogue_entry const& e : catalogue)
    if (name == e.name || (*e.alias != '\0' && name == e.alias)) return e;
  for (catalogue_alias const& a : aliases)
    if (name == a.name) return find_policy(a.policy);
  for (other_name const& a : other_names)
    if (name == a.name) throw bad_argument("policy '" + std::string(name) + "' " + a.remedy);
  throw bad_argument("policy '" + std::string(name) + "' is unknown; there are " + catalogue_names());
}

/// What tables call a policy that is asked for by `name`: the entry's name, or an alias that stands for a setting of its own.
inline char const* shown_name(std::string_view name) {
  for (catalogue_alias const& a : aliases)
    if (name == a.name && *a.fields != '\0') return a.name;
  return find_policy(name).name;
}

/// Calls f(field, mark, default) for each field of a list; mark is '\0' (required), '=' or '?'.
template <class F>
void for_each_field(std::string_view list, F const& f) {
  std::string_view rest = list;
  while (!rest.empty()) {
    std::string_view const item = rest.substr(0, rest.find(' '));
    std::size_t const end = std::min(item.find_first_of("=?"), item.size());
    f(item.substr(0, end), end < item.size() ? item[end] : '\0', end < item.size() ? item.substr(end + 1) : std::string_view());
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
  }
}

template <class F>
void for_each_field(catalogue_entry const& entry, F const& f) {
  for_each_field(std::string_view(entry.fields), f);
}

/// Whether sinks + recent are the budget of a policy, which may then be left out.
inline bool budget_is_sum(catalogue_entry const& entry) {
  bool found = false;
  for_each_field(entry, [&](std::string_view field, char mark, std::string_view) { found = found || (field == "budget" && mark == '?'); });
  return found;
}

inline bool has_field(catalogue_entry const& entry, std::string_view name) {
  bool found = false;
  for_each_field(entry, [&](std::string_view field, char, std::string_view) { found = found || field == name; });
  return found;
}

/// States the fields that an alias stands for, where they are not stated.
inline void state_alias(policy_fields& f) {
  for (catalogue_alias const& a : aliases)
    if (f.policy == a.name)
      for_each_field(std::string_view(a.fields), [&](std::string_view field, char, std::string_view value) {
        f.otherwise(field, parse_field(*find_field(field), value));
      });
}

/// Fills in what a bare name leaves open, from the budget in slots.
inline policy_fields with_defaults(policy_fields f, std::uint32_t budget) {
  state_alias(f);
  find_policy(f.policy).derive(f, budget);
  return f;
}

/// A policy made from fields.
struct catalogue_policy {
  any_policy value;
  bool bounded = true;      ///< false: has no budget in slots, needs a capacity
  std::uint32_t slots = 0;  ///< the most slots that a head may keep; 0 if not bounded

  /// Nothing goes after the prompt: a head then holds every token that arrives.
  bool grows() const { return !includes(value.facts().moments, moment::before_append | moment::after_attention); }
};

namespace detail {

/// Refuses a rule that could find no slot that may go.
inline void check_room(any_rule const& rule, policy_fields const& f, std::uint32_t limit) {
  if (rule.when == moment{} || rule.needs() <= limit) return;
  protect const& g = rule.guards;
  std::string sum;
  auto const add = [&](char const* field, std::uint32_t slots) {
    if (slots != 0) sum += (sum.empty() ? "" : " + ") + std::string(field) + " " + std::to_string(slots);
  };
  add("sinks", g.sinks);
  add(f.has("recent") ? "recent" : "newest", g.newest);
  add("excluded", rule.scope.excluded());
  add("pinned", g.pinned);
  if (includes(rule.when, moment::piece_end)) add("stride", rule.stride);
  refuse_field(f.layers.empty() ? "budget" : "layers", std::to_string(limit),
               sum + " leave no slot that may go; raise the budget or protect less");
}

}  // namespace detail

/// Makes the policy that the fields state. Throws bad_argument for a missing or foreign field, and for values that
/// leave no slot that may go; the message names field, value, limit and remedy.
inline catalogue_policy make_policy(policy_fields f) {
  catalogue_entry const& entry = find_policy(f.policy);
  state_alias(f);
  std::string known;
  for_each_field(entry, [&](std::string_view field, char mark, std::string_view value) {
    known += (known.empty() ? "" : ", ") + std::string(field);
    if (mark == '=') f.otherwise(field, parse_field(*find_field(field), value));
    if (mark == '\0' && !f.has(field))
      throw bad_argument("policy field '" + std::string(field) + "' is missing; " + entry.name + " requires it");
  });
  for (auto const& [field, value] : f.values())
    if (!has_field(entry, field))
      throw bad_argument("policy field '" + field + "' is not one of " + entry.name + "; " + (known.empty() ? "it has none" : "it has " + known));

  catalogue_policy made{entry.make(f), true, 0};
  std::uint32_t const budget = made.value.budget.limit(cache_shape{}, 0, 0);
  for (any_rule* const rule : {&made.value.rules.first, &made.value.rules.rest.first}) {
    rule->guards.pinned_from = f.pinned_from;
    rule->guards.pinned = f.pinned;
  }
  if (budget == no_limit) {
    if (f.pinned != 0 && made.value.budget.measured())
      throw bad_argument("pinned positions are not one of what " + std::string(entry.name) + " keeps; use sinks");
    if (!f.layers.empty()) throw bad_argument("policy field 'layers' is not one of " + std::string(entry.name) + "; it has no budget");
    return {made.value, false, 0};
  }
  std::uint32_t least = budget;
  made.slots = budget;
  if (!f.layers.empty()) {
    auto const [low, high] = std::minmax_element(f.layers.begin(), f.layers.end());
    if (*low < 1 || *high > most_slots)
      detail::refuse_field("layers", std::to_string(*low < 1 ? *low : *high), "give 1 to " + std::to_string(most_slots) + " slots for each layer");
    made.value.budget = made.value.budget.with_limits(layer_budgets{f.layers});
    least = *low;
    made.slots = *high;
  }
  for (any_rule const* const rule : {&made.value.rules.first, &made.value.rules.rest.first}) detail::check_room(*rule, f, least);
  return made;
}

/// The rules of one policy over a prompt that is too long, and of another from token to token. Both must have the same
/// budget. Throws bad_argument.
inline catalogue_policy join_phases(catalogue_policy const& prompt, catalogue_policy const& decode) {
  if (!prompt.bounded || !decode.bounded)
    throw bad_argument("policy fields 'prompt' and 'decode' name a policy without a budget; give two that keep one");
  if (!(prompt.value.budget.limits() == decode.value.budget.limits()))
    throw bad_argument("policy field 'budget' is " + std::to_string(prompt.slots) + " for the prompt and " + std::to_string(decode.slots) +
                       " for decode; give both the same");
  catalogue_policy joined = decode;
  joined.value.budget = prompt.value.budget;
  joined.value.rules.first = restrict_to(prompt.value, moment::prompt_end | moment::piece_end);
  joined.value.rules.rest.first = restrict_to(decode.value, moment::before_append | moment::after_attention);
  joined.value.columns();  // refuses one column with two parameters
  return joined;
}

}  // namespace kvsift
