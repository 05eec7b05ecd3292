// Overlap and deviation by age, by hand.

#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <common/analysis/deviation.hpp>
#include <common/analysis/overlap.hpp>

namespace {

using namespace programs;

TEST_CASE("overlap with the most attended, as many as are kept, and the attention that goes there") {
  std::vector<float> const attention{.125f, .375f, .0625f, .25f, .1875f};
  std::vector<std::uint32_t> const kept{4, 1, 2}, all{0, 1, 2, 3, 4}, one{3};
  agreement const some = agreement_of(attention, kept);  // the three most attended are 1, 3 and 4
  CHECK(some.overlap == doctest::Approx(2.0 / 3));
  CHECK(some.recovered == .625);
  CHECK(agreement_of(attention, all).overlap == 1);
  CHECK(agreement_of(attention, all).recovered == 1);
  CHECK(agreement_of(attention, one).overlap == 0);
  CHECK(agreement_of(attention, one).recovered == .25);
  // Without the newest token the rest is the whole.
  CHECK(agreement_of({attention.data(), 4}, one).recovered == doctest::Approx(.25 / .8125));
  std::vector<float> const equal(4, .25f);
  std::vector<std::uint32_t> const old{0, 1}, young{2, 3};
  CHECK(agreement_of(equal, old).overlap == 1);  // of equals the lower positions come first
  CHECK(agreement_of(equal, young).overlap == 0);
  CHECK(agreement_of(equal, {}).overlap == 0);
}

TEST_CASE("deviation by age: of what tokens have received so far, one by one, then their mean") {
  std::vector<std::vector<float>> const rows{{1.0f}, {.5f, .5f}, {.25f, .5f, .25f}, {.4f, .1f, .2f, .3f}};
  deviation_by_age both(0, 1, 3), second(1, 1, 3);
  for (auto const& row : rows) both.add(row), second.add(row);
  // Token 0 has 1, .5, .25; token 1 has .5, .5, .1.
  double const first_at_3 = std::sqrt((1 + .25 + .0625) / 3 - std::pow(1.75 / 3, 2));
  double const second_at_3 = std::sqrt((.25 + .25 + .01) / 3 - std::pow(1.1 / 3, 2));
  CHECK(both.ages() == 3);
  CHECK(both.at(1) == 0);
  CHECK(both.at(2) == doctest::Approx(.125));
  CHECK(both.at(3) == doctest::Approx((first_at_3 + second_at_3) / 2));
  CHECK(second.at(2) == doctest::Approx(0));
  CHECK(second.at(3) == doctest::Approx(second_at_3));
}

}  // namespace
