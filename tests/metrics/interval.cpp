// Intervals against published values.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <vector>

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

TEST_CASE("differences: of right and wrong answers by all signs that there could be, of others by Student's t") {
  for (unsigned n = 2; n <= 12; ++n)
    for (unsigned more = 0; more <= n; ++more) {
      unsigned as_far = 0;  // of all 2^n signs, those as far from half
      for (unsigned signs = 0; signs < 1u << n; ++signs) {
        auto const here = static_cast<unsigned>(std::popcount(signs));
        as_far += std::abs(2 * static_cast<int>(here) - static_cast<int>(n)) >= std::abs(2 * static_cast<int>(more) - static_cast<int>(n)) ? 1u : 0u;
      }
      std::vector<double> d(n, -1.0);
      std::fill_n(d.begin(), more, 1.0);
      d.resize(n + 20, 0.0);  // alike under both: they say nothing
      INFO(more << " of " << n);
      CHECK(differ(d) == (static_cast<double>(as_far) / static_cast<double>(1u << n) < 0.05));
    }
  // mean 0.1, standard error 0.0416, t = 2.4 under 4.30265; then 0.2 more
  CHECK_FALSE(differ({0.02, 0.16, 0.12}));
  CHECK(differ({0.22, 0.36, 0.32}));
  CHECK(differ({-0.22, -0.36, -0.32}));
  CHECK_FALSE(differ({0.25, -0.25}));
  CHECK_FALSE(differ({0, 0, 0}));
}

}  // namespace
