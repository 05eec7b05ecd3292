// Intervals against published values.
#include <cmath>

#include <doctest/doctest.h>

#include <common/metrics/interval.hpp>

namespace {

using namespace programs;

TEST_CASE("Wilson's interval of a share") {
  interval const eight = wilson_interval(0.8, 10), none = wilson_interval(0, 10), all = wilson_interval(1, 10);
  CHECK(eight.low == doctest::Approx(0.4901625).epsilon(1e-5));
  CHECK(eight.high == doctest::Approx(0.9433178).epsilon(1e-5));
  CHECK(none.low == 0.0);
  CHECK(none.high == doctest::Approx(0.2775328).epsilon(1e-5));
  CHECK(all.low == doctest::Approx(1 - none.high));
  CHECK(all.high == doctest::Approx(1.0));
  CHECK(std::isnan(wilson_interval(0, 0).low));
}

TEST_CASE("Student's t") {
  double const table[][2] = {{1, 12.7062}, {2, 4.30265}, {3, 3.18245}, {4, 2.77645}, {9, 2.26216}, {24, 2.06390}, {1000, 1.96234}};
  for (auto const& [freedom, t] : table) CHECK(student_quantile(0.975, static_cast<std::size_t>(freedom)) == doctest::Approx(t).epsilon(1e-5));
  interval const i = t_interval(2.0, 0.5, 10);
  CHECK(i.low == doctest::Approx(2 - 0.5 * 2.26216).epsilon(1e-5));
  CHECK(i.high - 2 == doctest::Approx(2 - i.low));
  CHECK(std::isnan(t_interval(1.0, 0.1, 1).low));
}

}  // namespace
