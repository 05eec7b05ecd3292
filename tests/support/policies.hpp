#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/named.hpp>
#include <support/random_trace.hpp>

namespace support {

/// Calls f(name, policy) with every named policy at its own type. budget: at least 8.
template <class F>
void for_each_named(std::uint32_t budget, F const& f) {
  using namespace kvsift;
  f("full", full());
  f("streaming_llm", streaming_llm(2, budget - 2));
  f("accumulated_attention", accumulated_attention_policy(budget, 2, 1));
  f("mean_attention", mean_attention_policy(budget, 2));
  f("tova", tova(budget));
  f("tova, shared", tova(budget, true, 1));
  f("roco", roco(budget, 2, 3));
  f("deviation_scope, accumulated", accumulated_deviation(budget, 2, 2, 1));
  f("recent_global", recent_global(budget, 2));
  f("heavy_hitter", heavy_hitter(budget, 2, 2));
  f("heavy_hitter, history, threshold", heavy_hitter(budget, 2, 2, 5, true));
  f("heavy_hitter, history", heavy_hitter(budget, 1, 2, 3));
  f("snapkv", snapkv(budget, 3, 5));
  f("snapkv, largest of the group, mean of neighbours", snapkv(budget, 4, 3, pooling::avg, group_reduction::max));
  f("ada_snapkv", ada_snapkv(budget, 3, 5));
  f("ada_snapkv, no floor", ada_snapkv(budget, 2, 3, pooling::avg, 0.0));
  f("key_norm", key_norm(budget, 2, 2));
  f("keydiff", keydiff(budget, 1, 2));
  f("expected_attention", expected_attention(budget, {}, 1, 2, 20));
  f("keep_it_odd", keep_it_odd(budget, 1, 2));
  f("lsh by key", lsh(budget, 1, 2));
  f("lsh by query, 21 bits", lsh(budget, 2, 1, signature{21, 5}, true));
  f("strided", strided(budget, 3, mean_attention{}, protect{1, 2}));
  f("strided, ranked scope", strided(budget, 4, accumulated_attention{}, protect{1, 1}, most_varying{2}));
  f("strided, as published", reference_strided(budget, 4, mean_attention{}, protect{}, forced_then_varying{5, 3, 1}));
  f("roco, as published", reference_roco(budget, 4, 6, 1));
  f("reservoir", reservoir(3, budget - 3, 11));
  f("random", random_eviction(budget, 1, 2, 7));
}

/// The same with one type for all.
struct named_policy {
  std::string name;
  kvsift::any_policy value;
};
inline std::vector<named_policy> named_policies(std::uint32_t budget) {
  std::vector<named_policy> list;
  for_each_named(budget, [&](char const* name, auto const& p) { list.push_back({name, kvsift::to_any(p)}); });
  return list;
}

/// A policy of random parts: any score with any guards, any scope and any unit, at the moments where it is legal.
struct composition {
  kvsift::any_rule first{}, second{};
  std::uint32_t limit = 1;
  bool shared = false;
  std::string text;

  kvsift::any_policy value() const { return kvsift::to_any(kvsift::policy{kvsift::uniform_budget{limit}, first, second}); }
  /// The rule that acts at a moment; null if none does.
  kvsift::any_rule const* at(kvsift::moment when) const {
    return includes(first.when, when) ? &first : includes(second.when, when) ? &second : nullptr;
  }
};

namespace detail {

inline kvsift::any_score random_score(draws& d, std::uint32_t limit, kvsift::moment when, std::uint32_t history, bool threshold) {
  using namespace kvsift;
  if (when == moment::before_append && d.chance(0.25))
    return hamming{{static_cast<std::uint32_t>(d.between(4, 64)), d.bits()}, d.chance(0.5)};
  switch (d.between(0, when == moment::prompt_end ? 8 : 7)) {
    case 0: return oldest_first{};
    case 1: return even_first{};
    case 2: return random_draw{d.bits()};
    case 3: return accumulated_attention{};
    case 4: return mean_attention{};
    case 5: return newest_query_attention{};
    case 6: return observed_mean{observations{history, threshold}};
    case 7: return smallest_key_norm{};
    default: {
      window_mass const source{std::min(limit, 4u), static_cast<group_reduction>(d.between(0, 2))};
      auto const outside = static_cast<std::uint32_t>(d.between(0, 4));
      return pooled{source, static_cast<std::uint32_t>(2 * d.between(0, 3) + 1), static_cast<pooling>(d.between(0, 2)), outside};
    }
  }
}

}  // namespace detail

inline composition random_composition(draws& d, std::uint32_t limit) {
  using namespace kvsift;
  composition c;
  c.limit = limit;
  c.shared = d.chance(0.25);
  std::uint32_t const history = d.chance(0.5) ? 1 : static_cast<std::uint32_t>(d.between(2, 9));
  bool const threshold = d.chance(0.5);
  auto const upto = [&](std::uint32_t most) { return static_cast<std::uint32_t>(d.between(0, static_cast<int>(most))); };
  std::uint32_t const pinned = upto(std::min(2u, limit - 1)), pinned_from = upto(6);
  auto const make = [&](moment when) {
    any_rule r;
    r.when = when;
    r.score = detail::random_score(d, limit, when, history, threshold);
    std::uint32_t left = limit - 1 - pinned;  // one slot may always go, before a token arrives too
    r.guards.pinned_from = pinned_from;
    r.guards.pinned = pinned;
    r.guards.sinks = upto(std::min(3u, left));
    left -= r.guards.sinks;
    r.guards.newest = upto(std::min(4u, left));
    left -= r.guards.newest;
    if (d.chance(0.4)) r.scope = most_varying{upto(left)};
    else if (d.chance(0.2)) r.scope = forced_then_varying{upto(left), upto(4), upto(2)};
    r.who = c.shared ? unit::shared : unit::per_head;
    r.ranked = d.chance(0.5) ? pick::victims : pick::keepers;
    return r;
  };
  c.second.when = moment{};
  int const form = d.between(0, 4);
  char const* const forms[] = {"over budget", "prompt end + making room", "prompt end + after attention", "making room",
                               "after attention"};
  switch (form) {
    case 0: c.first = make(moment::prompt_end | moment::after_attention); break;
    case 1: c.first = make(moment::prompt_end), c.second = make(moment::before_append); break;
    case 2: c.first = make(moment::prompt_end), c.second = make(moment::after_attention); break;
    case 3: c.first = make(moment::before_append); break;
    default: c.first = make(moment::after_attention);
  }
  c.text = std::string(forms[form]) + ", limit " + std::to_string(limit) + (c.shared ? ", shared" : "");
  return c;
}

/// The same for prompts that come in pieces: limit at least 2.
inline composition random_composition_in_pieces(draws& d, std::uint32_t limit) {
  using namespace kvsift;
  auto const upto = [&](std::uint32_t most) { return static_cast<std::uint32_t>(d.between(0, static_cast<int>(most))); };
  std::uint32_t const stride = 1 + upto(std::min(5u, limit - 1));
  composition c = random_composition(d, limit + 1 - stride);  // whatever is safe there leaves a piece's slots free here
  c.limit = limit;
  any_rule& prompt = c.first;
  if (includes(prompt.when, moment::before_append)) prompt.score = oldest_first{};  // it may look at an arriving token
  if (needs_slots_in_order(prompt.score)) prompt.score = newest_query_attention{};
  prompt.stride = stride;
  prompt.silent = d.chance(0.3);
  bool const own = c.second.when != moment{};
  prompt.when = own || d.chance(0.2) ? moment::piece_end : moment::piece_end | moment::after_attention;
  if (!own && prompt.when == moment::piece_end) {
    c.second = prompt;
    c.second.when = moment::after_attention;
    c.second.silent = false;
  }
  c.text = "pieces of " + std::to_string(stride) + (prompt.silent ? ", silent, " : ", ") + c.text;
  return c;
}

}  // namespace support
