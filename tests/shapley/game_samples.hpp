#pragma once
// Games in the estimator's terms.

#include <cstdint>

#include <common/sliced_shapley.hpp>

#include <shapley/exact.hpp>

inline exact::members bits(programs::coalition const& c) {
  exact::members set = 0;
  for (std::size_t i = 0; i < c.size(); ++i) set |= c[i] ? exact::members{1} << i : 0u;
  return set;
}
inline programs::coalition as_coalition(exact::members set, std::size_t players) {
  programs::coalition c(players);
  for (std::size_t i = 0; i < players; ++i) c[i] = (set >> i & 1) != 0;
  return c;
}

/// Sample (slice, seed, draw) of a game.
inline void draw_into(programs::sample_set& all, exact::game const& g, std::uint32_t slice, std::uint64_t seed,
                      std::uint64_t draw) {
  exact::members const set = bits(programs::draw_coalition(g.players, slice, seed, draw));
  all.add({slice, seed, draw}, {g.worth[set], g.worth[g.everyone() & ~set]});
}

/// Every coalition of at most half the players, once.
inline programs::shapley_estimate of_all_coalitions(exact::game const& g) {
  programs::shapley_estimate e{g.players, {}};
  for (std::size_t size = 1; 2 * size <= g.players; ++size) {
    e.slices.emplace_back(g.players, size);
    for (exact::members set = 0; set <= g.everyone(); ++set)
      if (__builtin_popcount(set) == static_cast<int>(size))
        e.slices.back().add(as_coalition(set, g.players), g.contribution(set));
  }
  return e;
}
