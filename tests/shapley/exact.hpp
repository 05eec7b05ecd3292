#pragma once
// Shapley values of few players from their definitions, in the plainest loops: the oracle of the estimator.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace exact {

using members = std::uint32_t;  ///< bit i: player i

/// A game of few players: what each set of them is worth.
struct game {
  std::size_t players = 0;
  std::vector<double> worth;  ///< [2^players]

  members everyone() const { return (members{1} << players) - 1; }
  double contribution(members set) const { return worth[set] - worth[everyone() & ~set]; }
};

/// What player i adds on average over all orders in which players may come.
inline std::vector<double> shapley(game const& g) {
  std::vector<std::size_t> order(g.players);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<double> sums(g.players, 0.0);
  double orders = 0;
  do {
    members there = 0;
    for (std::size_t const i : order) {
      sums[i] += g.worth[there | members{1} << i] - g.worth[there];
      there |= members{1} << i;
    }
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  for (double& s : sums) s /= orders;
  return sums;
}

/// phi[i, size]: mean complementary contribution of the sets of that size with player i.
inline double stratum(game const& g, std::size_t i, int size) {
  double sum = 0, sets = 0;
  for (members set = 0; set <= g.everyone(); ++set) {
    if (__builtin_popcount(set) != size || (set >> i & 1) == 0) continue;
    sum += g.contribution(set);
    ++sets;
  }
  return sum / sets;
}

/// A game drawn at random; nobody is worth nothing.
inline game random_game(std::size_t players, std::uint64_t seed) {
  std::mt19937_64 draw(seed);
  game g{players, std::vector<double>(std::size_t{1} << players)};
  for (double& w : g.worth) w = static_cast<double>(draw() >> 11) * 0x1p-53;
  g.worth[0] = 0;
  return g;
}

}  // namespace exact
