// What holds of every game: the laws of Shapley values, draws without bias, error bars that say the truth, and partial
// results that merge.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include <support/seeds.hpp>

#include "game_samples.hpp"

namespace {

using programs::sample_set;

double sum(std::vector<double> const& x) {
  double all = 0;
  for (double const v : x) all += v;
  return all;
}

sample_set drawn(exact::game const& g, std::uint64_t seed, std::uint64_t from, std::uint64_t to) {
  sample_set all;
  for (std::uint32_t slice = 1; 2 * slice <= g.players; ++slice)
    for (std::uint64_t draw = from; draw < to; ++draw) draw_into(all, g, slice, seed, draw);
  return all;
}

/// The same bits, which NaN has as well.
bool same(programs::shapley_estimate const& x, programs::shapley_estimate const& y) {
  bool alike = x.slices.size() == y.slices.size();
  for (std::size_t s = 0; alike && s < x.slices.size(); ++s)
    alike = x.slices[s].draws() == y.slices[s].draws() && x.slices[s].left() == y.slices[s].left() &&
            x.slices[s].left_count() == y.slices[s].left_count() && x.slices[s].right() == y.slices[s].right();
  return alike;
}

TEST_CASE("efficiency, symmetry and dummies: from all coalitions of the lower half come the exact Shapley values") {
  support::for_each_seed(20, [](std::uint64_t seed) {
    std::size_t const players = 2 + seed % 6;
    exact::game g = exact::random_game(players, seed);
    std::size_t const dummy = players - 1;
    for (exact::members set = 0; set <= g.everyone(); ++set) {
      if (players > 3) {  // player 1 is worth what player 0 is worth
        exact::members const swapped = (set & ~3u) | (set & 1) << 1 | (set >> 1 & 1);
        g.worth[std::max(set, swapped)] = g.worth[std::min(set, swapped)];
      }
      if ((set >> dummy & 1) != 0) g.worth[set] = g.worth[set & ~(1u << dummy)];
    }
    double const all = g.worth[g.everyone()];
    std::vector<double> const got = of_all_coalitions(g).shapley(all).value(), want = exact::shapley(g);
    for (std::size_t i = 0; i < players; ++i) CHECK(std::fabs(got[i] - want[i]) < 1e-12);
    CHECK(std::fabs(sum(got) - all) < 1e-12);
    CHECK(std::fabs(got[dummy]) < 1e-12);
    if (players > 3) CHECK(std::fabs(got[0] - got[1]) < 1e-12);
  });
}

TEST_CASE("a sample's two sides tell one another: n_i left_i - m_i right_i is the sum of D for every player") {
  support::for_each_seed(10, [](std::uint64_t seed) {
    exact::game const g = exact::random_game(7, seed);
    for (programs::slice_tally const& s : programs::estimate(drawn(g, seed, 0, 40), 7).slices)
      for (std::size_t i = 0; i < 7; ++i) CHECK(std::fabs(s.left()[i] - s.right()[i] - s.mean() * 40) < 1e-12);
  });
}

TEST_CASE("draws: of the size asked for, the same for the same arguments, every coalition as likely as another") {
  support::for_each_seed(5, [](std::uint64_t seed) {
    for (std::size_t const size : {1u, 2u, 3u}) {
      std::map<programs::coalition, double> seen;
      int const draws = 20000;
      for (std::uint64_t t = 0; t < draws; ++t) {
        programs::coalition const c = programs::draw_coalition(6, size, seed, t);
        REQUIRE(static_cast<std::size_t>(std::count(c.begin(), c.end(), true)) == size);
        ++seen[c];
      }
      std::size_t const coalitions = size == 1 ? 6 : size == 2 ? 15 : 20;
      REQUIRE(seen.size() == coalitions);
      double const expected = draws / static_cast<double>(coalitions);
      double chi_squared = 0;
      for (auto const& [c, count] : seen) chi_squared += (count - expected) * (count - expected) / expected;
      double const freedom = static_cast<double>(coalitions - 1);
      CHECK(chi_squared < freedom + 5 * std::sqrt(2 * freedom));
    }
    CHECK(programs::draw_coalition(100, 30, seed, 7) == programs::draw_coalition(100, 30, seed, 7));
    CHECK(programs::draw_coalition(100, 30, seed, 7) != programs::draw_coalition(100, 30, seed, 8));
    CHECK(programs::draw_coalition(100, 30, seed, 7) != programs::draw_coalition(100, 30, seed + 1, 7));
  });
  CHECK_THROWS_AS(programs::draw_coalition(4, 5, 1, 0), kvsift::bad_argument);
}

TEST_CASE(
    "estimates lie within their error bars, which shrink as the root of the draws, and runs close in on one another") {
  int beyond_two = 0, all = 0;
  double few = 0, many = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    exact::game const g = exact::random_game(6, seed);
    sample_set const samples = drawn(g, seed, 0, 1600);
    programs::shapley_estimate const e = programs::estimate(samples, 6);
    std::vector<double> const values = e.values(), errors = e.errors();
    for (std::size_t i = 0; i < 6; ++i, ++all) {
      double exactly = 0;
      for (int size = 1; size <= 3; ++size) exactly += exact::stratum(g, i, size) / 3;
      double const off = std::fabs(values[i] - exactly) / errors[i];
      CHECK(off < 5);
      beyond_two += off > 2 ? 1 : 0;
    }
    few += sum(programs::estimate(drawn(g, seed, 0, 100), 6).errors());
    many += sum(errors);
    CHECK(programs::two_runs(samples, 6).mean_absolute_difference < 0.1);
  }
  CHECK(beyond_two < all / 8);  // one in twenty is expected
  CHECK(few / many == doctest::Approx(4).epsilon(0.1));
}

TEST_CASE("the two runs share no draw, and together are all") {
  exact::game const g = exact::random_game(6, 3);
  sample_set const all = drawn(g, 3, 0, 101);
  sample_set even, odd;
  for (auto const& [key, value] : all) (key.draw % 2 == 0 ? even : odd).add(key, value);
  CHECK(same(programs::estimate(all, 6, programs::samples_of::even_draws), programs::estimate(even, 6)));
  CHECK(same(programs::estimate(all, 6, programs::samples_of::odd_draws), programs::estimate(odd, 6)));
  CHECK(programs::two_runs(all, 6).mean_absolute_difference ==
        programs::compare(programs::estimate(even, 6).values(), programs::estimate(odd, 6).values())
            .mean_absolute_difference);
  programs::agreement const ranked =
      programs::compare({1, 2, 3, 3}, {10, 30, 20, 20});  // ranks 0 1 2.5 2.5 and 0 3 1.5 1.5
  CHECK(ranked.mean_absolute_difference == 17.75);
  CHECK(ranked.rank_correlation == doctest::Approx(1.0 / 3));
}

TEST_CASE("merging is union: any order, any grouping, any number of times give the same bits") {
  support::for_each_seed(10, [](std::uint64_t seed) {
    exact::game const g = exact::random_game(6, seed);
    sample_set const whole = drawn(g, seed, 0, 30), a = drawn(g, seed, 0, 12), b = drawn(g, seed, 8, 20),
                     c = drawn(g, seed, 20, 30);
    sample_set left = a, right = c, again = b;
    left.merge(b);
    left.merge(c);
    right.merge(b);
    right.merge(a);
    sample_set inner = b;
    inner.merge(c);
    sample_set grouped = a;
    grouped.merge(inner);
    CHECK(left == whole);
    CHECK(right == whole);
    CHECK(grouped == whole);
    CHECK(same(programs::estimate(left, 6), programs::estimate(whole, 6)));
    CHECK(same(programs::estimate(right, 6), programs::estimate(whole, 6)));
    left.merge(left);
    left.merge(a);
    CHECK(left == whole);
    again.merge(b);
    CHECK(again == b);
    CHECK_FALSE(b == whole);
  });
}

TEST_CASE("samples of another game are refused, and change nothing") {
  sample_set a, b;
  a.add({2, 1, 5}, {0.5, 0.25});
  a.add({2, 1, 5}, {0.5, 0.25});
  b.add({2, 1, 4}, {0.5, 0.25});
  b.add({2, 1, 5}, {0.5, 0.5});
  sample_set const before = a;
  CHECK_THROWS_WITH_AS(a.merge(b),
                       "sample 5 of slice 2 and seed 1 is worth 0.5 and 0.5; elsewhere it is worth 0.5 and 0.25, do "
                       "not mix results of different games",
                       kvsift::bad_argument);
  CHECK(a == before);
  CHECK_THROWS_AS(a.add({2, 1, 5}, {0.5, 0.5}), kvsift::bad_argument);
}

TEST_CASE("a player that was not drawn has no value, and two runs no distance") {
  exact::game const g = exact::random_game(6, 1);
  sample_set one;
  draw_into(one, g, 1, 1, 0);
  std::vector<double> const values = programs::estimate(one, 6).values();
  CHECK(std::count_if(values.begin(), values.end(), [](double v) { return v == v; }) == 1);
  CHECK_FALSE(programs::two_runs(one, 6).mean_absolute_difference < 1e9);
}

}  // namespace
