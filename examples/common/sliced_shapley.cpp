#include <common/sliced_shapley.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

namespace programs {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

void require_same(sample_key const& key, sample_value const& there, sample_value const& value) {
  if (there == value) return;
  std::ostringstream said;
  said.precision(17);
  said << "sample " << key.draw << " of slice " << key.slice << " and seed " << key.seed << " is worth " << value.inside
       << " and " << value.outside << "; elsewhere it is worth " << there.inside << " and " << there.outside
       << ", do not mix results of different games";
  throw kvsift::bad_argument(said.str());
}

// Standard error of the mean of `count` numbers.
double standard_error(double sum, double squares, double count) {
  if (count < 2) return undefined;
  return std::sqrt(std::max(0.0, squares - sum * sum / count) / (count - 1) / count);
}

// Ranks from 0; equal numbers share the mean of theirs.
std::vector<double> ranks(std::vector<double> const& x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return x[i] < x[j]; });
  std::vector<double> rank(x.size());
  for (std::size_t i = 0, end = 0; i < order.size(); i = end) {
    while (end < order.size() && x[order[end]] == x[order[i]]) ++end;
    for (std::size_t j = i; j < end; ++j) rank[order[j]] = static_cast<double>(i + end - 1) / 2;
  }
  return rank;
}

double correlation(std::vector<double> const& x, std::vector<double> const& y) {
  double const n = static_cast<double>(x.size());
  double const mx = std::accumulate(x.begin(), x.end(), 0.0) / n, my = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : undefined;
}

}  // namespace

void sample_set::add(sample_key const& key, sample_value const& value) {
  auto const [at, fresh] = samples_.emplace(key, value);
  if (!fresh) require_same(key, at->second, value);
}

void sample_set::merge(sample_set const& other) {
  for (auto const& [key, value] : other.samples_)
    if (auto const at = samples_.find(key); at != samples_.end()) require_same(key, at->second, value);
  samples_.insert(other.samples_.begin(), other.samples_.end());
}

slice_tally::slice_tally(std::size_t players, std::size_t size)
    : size_(size), left_(players), left_squares_(players), count_(players) {
  kvsift::require(size >= 1 && 2 * size <= players, "slice", size, "give a size from 1 to half the players");
}

void slice_tally::add(coalition const& members, double difference) {
  ++draws_;
  sum_ += difference;
  squares_ += difference * difference;
  for (std::size_t i = 0; i < left_.size(); ++i) {
    if (!members[i]) continue;
    left_[i] += difference;
    left_squares_[i] += difference * difference;
    count_[i] += 1;
  }
}

std::vector<double> slice_tally::right() const {
  std::vector<double> sums;
  for (double const l : left_) sums.push_back(l - sum_);
  return sums;
}
std::vector<double> slice_tally::right_count() const {
  std::vector<double> counts;
  for (double const c : count_) counts.push_back(static_cast<double>(draws_) - c);
  return counts;
}

double slice_tally::mean() const { return draws_ == 0 ? undefined : sum_ / static_cast<double>(draws_); }
double slice_tally::deviation() const {
  double const n = static_cast<double>(draws_);
  return standard_error(sum_, squares_, n) * std::sqrt(n);
}
double slice_tally::value(std::size_t i) const {
  if (half()) return draws_ == 0 ? undefined : (2 * left_[i] - sum_) / static_cast<double>(draws_);
  return count_[i] == 0 ? undefined : left_[i] / count_[i];
}
double slice_tally::error(std::size_t i) const {
  if (half()) return standard_error(2 * left_[i] - sum_, squares_, static_cast<double>(draws_));
  return standard_error(left_[i], left_squares_[i], count_[i]);
}
double slice_tally::upper(std::size_t i) const {
  if (half()) return value(i);
  double const without = static_cast<double>(draws_) - count_[i];
  return without == 0 ? undefined : (left_[i] - sum_) / without;
}

std::vector<double> shapley_estimate::values() const {
  std::vector<double> means(players, slices.empty() ? undefined : 0.0);
  for (slice_tally const& s : slices)
    for (std::size_t i = 0; i < players; ++i) means[i] += s.value(i) / static_cast<double>(slices.size());
  return means;
}

std::vector<double> shapley_estimate::errors() const {
  std::vector<double> all(players, slices.empty() ? undefined : 0.0);
  for (slice_tally const& s : slices)
    for (std::size_t i = 0; i < players; ++i) all[i] += s.error(i) * s.error(i);
  for (double& e : all) e = std::sqrt(e) / static_cast<double>(slices.size());
  return all;
}

std::optional<std::vector<double>> shapley_estimate::shapley(double all_less_none) const {
  if (slices.size() != players / 2) return std::nullopt;  // sizes are distinct and in 1 .. n / 2
  std::vector<double> sums(players, all_less_none);
  for (slice_tally const& s : slices)
    for (std::size_t i = 0; i < players; ++i) sums[i] += 2 * s.size() == players ? s.value(i) : s.value(i) + s.upper(i);
  for (double& v : sums) v /= static_cast<double>(players);
  return sums;
}

shapley_estimate estimate(sample_set const& samples, std::size_t players, samples_of run) {
  shapley_estimate e{players, {}};
  for (auto const& [key, value] : samples) {  // by slice
    if (2 * std::size_t{key.slice} > players) break;
    if (e.slices.empty() || e.slices.back().size() != key.slice) e.slices.emplace_back(players, key.slice);
    bool const odd = key.draw % 2 == 1;
    if (run != samples_of::both_runs && odd != (run == samples_of::odd_draws)) continue;
    e.slices.back().add(draw_coalition(players, key.slice, key.seed, key.draw), value.difference());
  }
  return e;
}

std::optional<sample_value> everyone_and_nobody(sample_set const& samples, std::size_t players) {
  for (auto const& [key, value] : samples)
    if (key.slice == players) return value;
  return std::nullopt;
}

agreement compare(std::vector<double> const& one, std::vector<double> const& other) {
  kvsift::require(one.size() == other.size() && !one.empty(), "values of the other run", other.size(),
                  "compare runs over the same players");
  double sum = 0;
  for (std::size_t i = 0; i < one.size(); ++i) sum += std::fabs(one[i] - other[i]);
  return {sum / static_cast<double>(one.size()), sum == sum ? correlation(ranks(one), ranks(other)) : undefined};
}

agreement two_runs(sample_set const& samples, std::size_t players) {
  return compare(estimate(samples, players, samples_of::even_draws).values(),
                 estimate(samples, players, samples_of::odd_draws).values());
}

}  // namespace programs
