#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/attention.hpp>
#include <oracle/rule.hpp>
#include <oracle/trace.hpp>

namespace oracle {

/// What a head may keep: see specs, hybrid.
struct ingredients {
  bool special = false, punctuation = false, everything = false;
  double window = 0, heavy = 0;
};

/// hybrid by its definition: the visibility of every query and key, in doubles.
struct hybrid {
  std::vector<ingredients> recipes;
  double recovery = 0.9;
  int sinks = 1;
  int length = 0;    // of what the parts are, in what is kept; 0: the prompt
  int history = 1;   // observations that are averaged; 1: all
};

/// One head: what it chose, what it holds, and how close the closest of its comparisons was.
struct recipe_head {
  std::size_t chosen = 0;
  int limit = -1;  // -1: none
  slot_list slots;
  double gap = no_gap;
};

inline bool kept_kind(ingredients const& r, int kind) { return (r.special && (kind & 1)) || (r.punctuation && (kind & 2)); }

inline int window_of(ingredients const& r, int n) {
  return r.window > 0 ? std::max(1, static_cast<int>(r.window * n)) : 0;
}

/// Which tokens of a prompt stay to its end under a recipe, where parts are of n tokens.
inline std::vector<bool> stay(hybrid const& p, ingredients const& r, attention_map const& map, std::vector<int> const& kinds, int n,
                              double& gap) {
  int const tokens = static_cast<int>(map.size());
  std::vector<bool> stays(map.size(), r.everything);
  std::vector<candidate> others;
  for (int j = 0; j < tokens; ++j) {
    std::size_t const at = static_cast<std::size_t>(j);
    stays[at] = r.everything || j < p.sinks || kept_kind(r, kinds[at]) || j >= tokens - window_of(r, n);
    double received = 0;
    for (std::size_t i = at; i < map.size(); ++i) received += map[i][at];
    if (!stays[at]) others.push_back({-received / (tokens - j), j});
  }
  int const heavy = r.heavy > 0 ? static_cast<int>(std::ceil(std::fmin(r.heavy * n, static_cast<double>(others.size())))) : 0;
  choice const heaviest = lowest(others, heavy, ties::lowest_stays);
  gap = std::fmin(gap, heaviest.gap);
  for (int const j : heaviest.positions) stays[static_cast<std::size_t>(j)] = true;
  return stays;
}

/// The part of the attention of a prompt that a recipe would have seen.
inline double recovered(hybrid const& p, ingredients const& r, attention_map const& map, std::vector<int> const& kinds, double& gap) {
  int const tokens = static_cast<int>(map.size()), w = window_of(r, tokens);
  ingredients without = r;
  std::vector<bool> const stays = stay(p, without, map, kinds, tokens, gap);
  double sum = 0;
  for (int i = 0; i < tokens; ++i)
    for (int j = 0; j <= i; ++j) {
      // What stays only because it is among the last of the prompt is seen by earlier queries as the window slides.
      bool const seen = stays[static_cast<std::size_t>(j)] || j > i - w;
      if (seen) sum += map[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    }
  return sum / tokens;
}

/// Ends a prompt: every head holds it all and chooses.
inline recipe_head choose_recipe(hybrid const& p, attention_map const& map, std::vector<int> const& kinds) {
  recipe_head head;
  for (head.chosen = 0; head.chosen + 1 < p.recipes.size(); ++head.chosen) {
    if (p.recipes[head.chosen].everything) break;
    double const part = recovered(p, p.recipes[head.chosen], map, kinds, head.gap);
    head.gap = std::fmin(head.gap, relative_gap(part, p.recovery));
    if (part >= p.recovery) break;
  }
  ingredients const& r = p.recipes[head.chosen];
  int const tokens = static_cast<int>(map.size());
  std::vector<bool> const stays = stay(p, r, map, kinds, p.length != 0 ? p.length : tokens, head.gap);
  int kept = 0;
  for (int j = 0; j < tokens; ++j) {
    if (!stays[static_cast<std::size_t>(j)]) continue;
    double received = 0;
    for (std::size_t i = static_cast<std::size_t>(j); i < map.size(); ++i) received += map[i][static_cast<std::size_t>(j)];
    slot s;
    s.position = j;
    s.observations = {received / (tokens - j)};
    head.slots.push_back(s);
    ++kept;
  }
  if (!r.everything) head.limit = std::max(1, kept);
  return head;
}

/// One decode step of a head: `token` arrived and its attention over what is held came last; then what is too much goes.
inline void decode_by_recipe(hybrid const& p, recipe_head& head, trace const& t, int h, int token, int prompt, std::vector<int> const& kinds) {
  ingredients const& r = p.recipes[head.chosen];
  slot fresh;
  fresh.position = token;
  head.slots.push_back(fresh);
  std::vector<int> held;
  for (slot const& s : head.slots) held.push_back(s.position);
  std::vector<double> const row = group_row(t, token, h, held);
  for (std::size_t i = 0; i < row.size(); ++i) head.slots[i].observations.push_back(row[i]);
  if (r.everything) return;
  int beside = 0;
  for (slot const& s : head.slots) beside += s.position >= prompt && kept_kind(r, kinds[static_cast<std::size_t>(s.position)]);
  while (static_cast<int>(head.slots.size()) > head.limit + beside) {
    std::vector<candidate> others;
    int const w = window_of(r, p.length != 0 ? p.length : prompt);
    bool const spares_newest = r.heavy > 0;
    for (slot const& s : head.slots) {
      if (s.position < p.sinks || kept_kind(r, kinds[static_cast<std::size_t>(s.position)]) || s.position > token - w) continue;
      if (spares_newest && s.position == token) continue;
      double sum = 0;
      std::size_t const n = s.observations.size(), from = p.history > 1 && n > static_cast<std::size_t>(p.history)
                                                             ? n - static_cast<std::size_t>(p.history) : 0;
      for (std::size_t i = from; i < n; ++i) sum += s.observations[i];
      others.push_back({r.heavy > 0 ? sum / static_cast<double>(n - from) : s.position, s.position});
    }
    bool const newest_may_go = token >= p.sinks && w == 0 && !kept_kind(r, kinds[static_cast<std::size_t>(token)]);
    if (others.empty() && newest_may_go && head.slots.back().position == token) others.push_back({0, token});
    if (others.empty()) {  // everything is worth most: the lowest position behind the sinks
      for (slot const& s : head.slots)
        if (s.position >= p.sinks) others.push_back({0, s.position});
    }
    if (others.empty()) return;  // sinks alone
    choice const goes = lowest(others, 1, ties::lowest_goes);
    head.gap = std::fmin(head.gap, goes.gap);
    std::erase_if(head.slots, [&](slot const& s) { return s.position == goes.positions[0]; });
  }
}

}  // namespace oracle
