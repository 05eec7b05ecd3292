#pragma once
// Sliced Shapley values from complementary contributions, as CoKV estimates them (arXiv 2502.17501). n players, u(S)
// what a coalition is worth:
//
//   D(S)      = u(S) - u(complement of S)
//   phi[i, s] = mean of D over the coalitions of s players with i in them
//   SSV[i]    = mean of phi[i, s] over the slices, which are some sizes up to n / 2
//
// A draw of S tells of its complement as well, D(complement) = -D(S): the mean of -D over the draws without i stands
// for phi[i, n - s]. So no size above n / 2 is drawn, and at n / 2 every draw counts for every player.
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <common/coalition.hpp>

namespace programs {

// What was drawn: draw `draw` of coalitions of `slice` players under `seed`, see draw_coalition. The draw of all
// players is no slice, but tells what everyone and nobody is worth.
struct sample_key {
  std::uint32_t slice = 0;
  std::uint64_t seed = 0, draw = 0;
  friend auto operator<=>(sample_key const&, sample_key const&) = default;
};

struct sample_value {
  double inside = 0, outside = 0;  // u of the coalition, and of all others
  double difference() const { return inside - outside; }
  friend bool operator==(sample_value const&, sample_value const&) = default;
};

// A partial result: which samples it holds, and what they are worth. Merging is their union, so that it does not matter
// in which order partial results come, nor how often.
class sample_set {
 public:
  // Throws bad_argument, naming the sample, if it is there already and was worth something else: another game.
  void add(sample_key const& key, sample_value const& value);
  void merge(sample_set const& other);  // throws as add does, and leaves this as it was

  bool has(sample_key const& key) const { return samples_.count(key) != 0; }
  std::size_t size() const { return samples_.size(); }
  auto begin() const { return samples_.begin(); }
  auto end() const { return samples_.end(); }
  friend bool operator==(sample_set const&, sample_set const&) = default;

 private:
  std::map<sample_key, sample_value> samples_;
};

// CoKV's sums of one slice. A player that no draw had has a mean of NaN; one that a single draw had, an error of NaN.
class slice_tally {
 public:
  slice_tally(std::size_t players, std::size_t size);

  void add(coalition const& members, double difference);

  std::size_t size() const { return size_; }
  std::uint64_t draws() const { return draws_; }
  // [players]: sums of D over the draws with a player, their number, and of -D over those without.
  std::vector<double> const& left() const { return left_; }
  std::vector<double> right() const;
  std::vector<double> left_count() const { return count_; }
  std::vector<double> right_count() const;

  double mean() const;                // of D
  double deviation() const;           // of D, its standard deviation
  double value(std::size_t i) const;  // phi[i, size]
  double error(std::size_t i) const;  // its standard error
  double upper(std::size_t i) const;  // phi[i, n - size]

 private:
  bool half() const { return 2 * size_ == left_.size(); }

  std::size_t size_;
  std::uint64_t draws_ = 0;
  double sum_ = 0, squares_ = 0;
  std::vector<double> left_, left_squares_, count_;
};

struct shapley_estimate {
  std::size_t players = 0;
  std::vector<slice_tally> slices;  // by size

  std::vector<double> values() const;  // SSV [players]
  std::vector<double> errors() const;  // their standard errors
  // Shapley values [players], where every size from 1 to n / 2 is a slice. all_less_none: u(everyone) - u(nobody).
  std::optional<std::vector<double>> shapley(double all_less_none) const;
};

// Which samples count: of every seed those with even or odd draws are a run of their own, independent of the other.
enum class samples_of { both_runs, even_draws, odd_draws };
// Of the sizes up to n / 2.
shapley_estimate estimate(sample_set const& samples, std::size_t players, samples_of run = samples_of::both_runs);

// What everyone and nobody is worth, if that was drawn.
std::optional<sample_value> everyone_and_nobody(sample_set const& samples, std::size_t players);

// How far two runs are apart.
struct agreement {
  double mean_absolute_difference = 0;  // of SSV, over the players; NaN while a player was not drawn by both
  double rank_correlation = 0;          // Spearman's
};
agreement compare(std::vector<double> const& one, std::vector<double> const& other);
agreement two_runs(sample_set const& samples, std::size_t players);

}  // namespace programs
