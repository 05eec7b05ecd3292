// The metrics as programs call them: by name, the best over the answers.

#include <string>

#include <doctest/doctest.h>

#include <common/errors.hpp>
#include <common/metrics/metric.hpp>

namespace {

using namespace programs;

TEST_CASE("every metric is 1 for the answer itself and 0 for nothing of it") {
  judged_text const right{"The answer to question number 7 is B",
                          {"nothing", "The answer to question number 7 is B"},
                          {"The answer to question number 7 is B"}};
  judged_text const wrong{"???", {"7", "B", "seven"}, {"???"}};
  for (std::string const& name : metric_names()) {
    INFO(name);
    metric const score = find_metric(name, "metric");
    judged_text right_here = right;
    if (name == "count_match") right_here.answers.emplace_back("7");
    if (name == "string_match_all") right_here.answers.erase(right_here.answers.begin());
    // METEOR's penalty for pieces leaves half of (1/8)^3.
    double const most = name.starts_with("meteor") ? 1 - 0.5 / 512 : 1;
    CHECK(score(right_here) == doctest::Approx(most));
    CHECK(score(wrong) == 0);
  }
}

TEST_CASE("a metric there is not is refused with those there are") {
  try {
    find_metric("elegance", "xsum.json: metrics");
    FAIL("taken");
  } catch (usage_error const& e) {
    CHECK(std::string(e.what()).starts_with(
        "xsum.json: metrics is 'elegance'; give one of exact_match, squad_match, f1, "));
  }
}

}  // namespace
