#pragma once
// How much is lost at most, by samples that were answered with and without what may lose.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace programs {

// P(at most k of n), each with chance p.
inline double binomial_up_to(std::size_t k, std::size_t n, double p) {
  if (p <= 0) return 1;
  if (p >= 1) return k >= n ? 1 : 0;
  double sum = 0;
  auto const all = static_cast<double>(n);
  for (std::size_t i = 0; i <= std::min(k, n); ++i) {
    auto const some = static_cast<double>(i);
    sum += std::exp(std::lgamma(all + 1) - std::lgamma(some + 1) - std::lgamma(all - some + 1) + some * std::log(p) +
                    (all - some) * std::log1p(-p));
  }
  return sum;
}

// Where in [low, high] holds(x), true below and false above, ends.
template <class Holds>
double where_it_ends(double low, double high, Holds holds) {
  for (int i = 0; i < 100; ++i) {
    double const middle = low + (high - low) / 2;
    (holds(middle) ? low : high) = middle;
  }
  return high;
}

// With this confidence the chance of what happened k times in n is no higher (Clopper-Pearson, one-sided).
inline double highest_share(std::size_t k, std::size_t n, double confidence) {
  if (k >= n) return 1;
  return where_it_ends(0, 1, [&](double p) { return binomial_up_to(k, n, p) > 1 - confidence; });
}

// P(T <= t) of Student's distribution, t >= 0.
inline double student_up_to(double t, std::size_t freedom) {
  double const angle = std::atan(t / std::sqrt(static_cast<double>(freedom))), c = std::cos(angle);
  bool const odd = freedom % 2 == 1;
  double term = odd ? c : 1, sum = freedom == 1 ? 0 : term;
  for (std::size_t i = odd ? 3 : 2; i + 2 <= freedom; i += 2) {
    term *= c * c * static_cast<double>(i - 1) / static_cast<double>(i);
    sum += term;
  }
  constexpr double pi = 3.14159265358979323846;
  double const inside = odd ? 2 / pi * (angle + std::sin(angle) * sum) : std::sin(angle) * sum;  // P(|T| <= t)
  return 0.5 + inside / 2;
}

// Student's quantile of a confidence above a half.
inline double student_quantile(double confidence, std::size_t freedom) {
  return where_it_ends(0, 1e9, [&](double t) { return student_up_to(t, freedom) < confidence; });
}

struct loss {
  double mean = 0;     // of score without minus score with
  double at_most = 1;  // with the confidence asked for
};

// Differences of scores in [0, 1], one a sample. Where every one is 0, 1 or -1, what is lost is at most the share of
// samples that are worse, whose bound is exact; gains are left out of it. Else the mean's bound by Student's
// distribution, no lower than that of no loss in as many samples.
inline loss highest_loss(std::vector<double> const& differences, double confidence) {
  loss result;
  std::size_t const n = differences.size();
  if (n == 0) return result;
  double sum = 0, squares = 0;
  std::size_t worse = 0;
  bool whole = true;
  for (double const d : differences) {
    sum += d;
    worse += d > 0 ? 1u : 0u;
    whole = whole && (d == 0 || d == 1 || d == -1);
  }
  result.mean = sum / static_cast<double>(n);
  if (whole) {
    result.at_most = highest_share(worse, n, confidence);
    return result;
  }
  for (double const d : differences) squares += (d - result.mean) * (d - result.mean);
  double const error =
      std::sqrt(squares / static_cast<double>(n) / static_cast<double>(std::max<std::size_t>(1, n - 1)));
  if (n > 1)
    result.at_most =
        std::max(result.mean + student_quantile(confidence, n - 1) * error, highest_share(0, n, confidence));
  return result;
}

// Whether the mean of differences, one a sample, is another than 0 with 95 % confidence: where all of them are 0, 1 or -1
// by the sign test, which is exact, else by Student's distribution. Of two samples and more.
inline bool differ(std::vector<double> const& differences) {
  std::size_t more = 0, less = 0;
  double sum = 0, squares = 0;
  bool whole = true;
  auto const n = static_cast<double>(differences.size());
  for (double const d : differences) {
    more += d > 0 ? 1u : 0u;
    less += d < 0 ? 1u : 0u;
    whole = whole && (d == 0 || d == 1 || d == -1);
    sum += d;
  }
  if (whole) return 2 * binomial_up_to(std::min(more, less), more + less, 0.5) < 0.05;
  for (double const d : differences) squares += (d - sum / n) * (d - sum / n);
  double const error = std::sqrt(squares / n / (n - 1));
  return std::abs(sum / n) > student_quantile(0.975, differences.size() - 1) * error;
}

}  // namespace programs
