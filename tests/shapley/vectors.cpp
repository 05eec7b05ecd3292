// The four-player game of the specification: exact values, fixed draws, and a Monte Carlo run with its generator.

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <support/files.hpp>

#include "game_samples.hpp"

namespace {

using nlohmann::json;
using programs::slice_tally;

json const& vectors() {
  static json const all = json::parse(support::read_file(support::test_data() / "budget_vectors.json"));
  return all;
}

exact::game four_players() {
  exact::game g{4, std::vector<double>(16)};
  for (auto const& [name, worth] : vectors()["V6.u"].items()) {
    exact::members set = 0;
    for (char const c : name)
      if (c != '-') set |= 1u << (c - '0');
    g.worth[set] = worth;
  }
  return g;
}

void near(std::vector<double> const& got, json const& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("player " << i);
    CHECK(std::fabs(got[i] - want[i].get<double>()) < 6e-7);
  }
}

std::vector<double> left_means(slice_tally const& s) {
  std::vector<double> means;
  for (std::size_t i = 0; i < s.left().size(); ++i) means.push_back(s.left()[i] / s.left_count()[i]);
  return means;
}

/// The generator of the Monte Carlo vectors: the permutation persists between draws.
slice_tally monte_carlo(exact::game const& g, std::size_t size, int draws, std::uint64_t seed) {
  std::vector<std::size_t> order{0, 1, 2, 3};
  slice_tally s(4, size);
  for (int t = 0; t < draws; ++t) {
    for (std::size_t a = 3; a >= 1; --a) {
      seed = 6364136223846793005ull * seed + 1442695040888963407ull;
      std::swap(order[a], order[static_cast<std::size_t>((seed >> 33) % (a + 1))]);
    }
    exact::members set = 0;
    for (std::size_t i = 0; i < size; ++i) set |= 1u << order[i];
    s.add(as_coalition(set, 4), g.contribution(set));
  }
  return s;
}

TEST_CASE("four players: exact values, strata, and Shapley values from the lower half") {
  exact::game const g = four_players();
  near(exact::shapley(g), vectors()["V6.exact_shapley"]);
  programs::shapley_estimate const e = of_all_coalitions(g);
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<double> const strata{e.slices[0].value(i), e.slices[1].value(i), e.slices[0].upper(i),
                                     g.worth[15] - g.worth[0]};
    near(strata, vectors()["V6.strata"][i]);
    for (int size = 1; size <= 4; ++size)
      CHECK(std::fabs(strata[static_cast<std::size_t>(size - 1)] - exact::stratum(g, i, size)) < 1e-12);
  }
  near({e.slices[0].mean(), e.slices[1].mean()}, json{vectors()["V6.Dbar"][0], vectors()["V6.Dbar"][1]});
  near(e.values(), vectors()["V6.ssv_slices12_avg"]);
  near(e.shapley(g.worth[15] - g.worth[0]).value(), vectors()["V6.sv_from_half"]);
  programs::shapley_estimate const second{4, {e.slices[1]}};
  near(second.values(), vectors()["V6.ssv_slice2"]);
  CHECK_FALSE(second.shapley(0.7));
}

TEST_CASE("four players: the four arrays of fixed draws") {
  exact::game const g = four_players();
  for (std::size_t const size : {1u, 2u}) {
    json const& want = vectors()["V6.sampled_m" + std::to_string(size)];
    slice_tally s(4, size);
    for (json const& order : want["perms"]) {
      exact::members set = 0;
      for (std::size_t i = 0; i < size; ++i) set |= 1u << order[i].get<unsigned>();
      s.add(as_coalition(set, 4), g.contribution(set));
    }
    near(s.left(), want["cc_left"]);
    near(s.left_count(), want["count_left"]);
    near(s.right(), want["cc_right"]);
    near(s.right_count(), want["count_right"]);
    near(left_means(s), want["left_mean"]);
    for (std::size_t i = 0; i < 4; ++i)  // of draws of two, both halves count for everyone
      CHECK(std::fabs(s.value(i) - (size == 1 ? s.left()[i] / s.left_count()[i] : (s.left()[i] + s.right()[i]) / 6)) <
            1e-12);
  }
}

TEST_CASE("four players: Monte Carlo runs and how far they are apart") {
  exact::game const g = four_players();
  for (int const draws : {100, 1000, 10000}) {
    for (json const& want : vectors()["V6.mc_T" + std::to_string(draws)]) {
      auto const size = want["m"].get<std::size_t>();
      slice_tally const one = monte_carlo(g, size, draws, 1), two = monte_carlo(g, size, draws, 2);
      near(left_means(one), want["run1"]);
      near(left_means(two), want["run2"]);
      near(one.left_count(), want["counts1"]);
      std::vector<double> strata;
      for (std::size_t i = 0; i < 4; ++i) strata.push_back(exact::stratum(g, i, static_cast<int>(size)));
      CHECK(std::fabs(programs::compare(left_means(one), left_means(two)).mean_absolute_difference -
                      want["mae12"].get<double>()) < 2e-6);
      CHECK(std::fabs(programs::compare(left_means(one), strata).mean_absolute_difference -
                      want["mae_exact"].get<double>()) < 2e-6);
    }
  }
}

}  // namespace
