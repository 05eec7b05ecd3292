// Bounds of a loss against tables of statistics and by hand, and the search for the smallest budget.

#include <cmath>
#include <cstddef>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <common/boundary.hpp>
#include <common/confidence.hpp>

namespace {

using namespace programs;

TEST_CASE("bounds of a share: no loss in n by hand, others by the definition") {
  CHECK(highest_share(0, 59, 0.95) == doctest::Approx(1 - std::pow(0.05, 1.0 / 59)).epsilon(1e-9));
  CHECK(highest_share(0, 1, 0.9) == doctest::Approx(0.9));
  CHECK(highest_share(1, 2, 0.95) == doctest::Approx(std::sqrt(0.95)));            // 1 - p^2 = 0.05
  CHECK(highest_share(1, 100, 0.95) == doctest::Approx(0.0465598).epsilon(1e-5));  // tables of Clopper and Pearson
  CHECK(highest_share(5, 20, 0.975) == doctest::Approx(0.4910459).epsilon(1e-5));
  CHECK(highest_share(3, 3, 0.95) == 1);
}

TEST_CASE("quantiles of Student's distribution are the printed ones") {
  CHECK(student_quantile(0.95, 1) == doctest::Approx(6.313752).epsilon(1e-6));
  CHECK(student_quantile(0.95, 2) == doctest::Approx(2.919986).epsilon(1e-6));
  CHECK(student_quantile(0.95, 4) == doctest::Approx(2.131847).epsilon(1e-6));
  CHECK(student_quantile(0.95, 9) == doctest::Approx(1.833113).epsilon(1e-6));
  CHECK(student_quantile(0.975, 3) == doctest::Approx(3.182446).epsilon(1e-6));
  CHECK(student_quantile(0.975, 30) == doctest::Approx(2.042272).epsilon(1e-6));
}

TEST_CASE("what is lost at most: prompts that got worse, or the mean of graded differences") {
  std::vector<double> whole(40, 0);
  whole[3] = whole[7] = 1, whole[9] = -1;  // two lost, one won
  loss const exact = highest_loss(whole, 0.95);
  CHECK(exact.mean == doctest::Approx(1.0 / 40));
  CHECK(exact.at_most == highest_share(2, 40, 0.95));
  // Mean 0.3, deviation 0.1: 0.3 + 2.131847 * 0.1 / sqrt(5) is below what five prompts without a loss show.
  loss const few = highest_loss({0.2, 0.3, 0.4, 0.4, 0.2}, 0.95);
  CHECK(few.mean == doctest::Approx(0.3));
  CHECK(few.at_most == doctest::Approx(1 - std::pow(0.05, 0.2)));
  std::vector<double> graded;
  for (int i = 0; i < 10; ++i) graded.push_back(i % 2 == 0 ? 0.9 : 0.1);
  double const error = 0.4 / 3;  // squares 10 * 0.16, over 9, over 10, of which the root
  CHECK(highest_loss(graded, 0.95).at_most == doctest::Approx(0.5 + 1.833113 * error).epsilon(1e-5));
  CHECK(highest_loss({0.5}, 0.95).at_most == 1);
  CHECK(highest_loss({}, 0.95).at_most == 1);
}

TEST_CASE("the smallest budget that passes is found wherever it is, within the looks that were promised") {
  for (std::size_t budgets = 1; budgets <= 40; ++budgets)
    for (std::size_t least = 1; least <= budgets + 1; ++least) {
      std::multiset<std::size_t> looked;
      auto const found = smallest_passing(budgets, [&](std::size_t i) {
        looked.insert(i);
        return i >= least;
      });
      CHECK(found.has_value() == (least <= budgets));
      if (found) CHECK(*found == least);
      CHECK(looked.size() <= looks_at_most(budgets));
      CHECK(std::set<std::size_t>(looked.begin(), looked.end()).size() == looked.size());
    }
}

}  // namespace
