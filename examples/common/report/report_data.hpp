#pragma once
// The runs of a results folder, and what is told of those that differ in their seed alone.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <common/metrics/interval.hpp>

namespace programs {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// One line of lab.jsonl.
struct report_run {
  std::string model, policy, budget, task;  // policy with what sets it apart; budget "": everything is kept
  std::uint64_t length = 0, seed = 1, slots = 0;
  std::size_t samples = 0;
  double score = unknown, error = unknown, mean_nll = unknown;
  bool share = false;
  std::string metric, command, key;  // key: the JSON of what was run
  std::string sampled;               // equal text: over the same samples, whatever the seed
  std::vector<double> scores;        // one a sample; none of perplexity
  double tokens = unknown, seconds = unknown, prefill = unknown, decode = unknown, steps = unknown;
  double cache = unknown, bookkeeping = unknown, workspace = unknown, heap_peak = unknown, heap_steady = unknown;
  double saved = unknown, recovered = unknown, probe_tokens = unknown;
  std::vector<double> recovered_by_layer;
  std::vector<std::vector<double>> kept;  // [layers][bins], in [0, 1]

  bool perplexity() const { return task == "perplexity"; }
};

// Runs of one policy, budget and task, all seeds.
struct report_point {
  std::vector<report_run const*> runs;

  report_run const& any() const { return *runs.front(); }
  std::size_t samples() const;
  double score() const;     // weighted by samples; of perplexities over their logarithms
  interval within() const;  // of it, with 95 % confidence
  double mean(double report_run::*field) const;  // of what is known; NaN: nothing is
};

// Whether 95 % confidence does not tell two points apart: by the differences, sample by sample, where both answered the
// same ones (an exact sign test of answers that are right or wrong, Student's t of others), else by intervals that overlap.
bool alike(report_point const& a, report_point const& b);

struct report_data {
  std::vector<report_run> runs;            // as they stand in the log
  std::vector<std::string> columns;        // "task", "task 2000" where lengths differ, with the model where they do
  std::vector<std::string> policies;       // as they came; those that keep everything first
  std::vector<std::string> budgets;        // from the smallest, by slots; without ""
  std::vector<report_point> points;        // [policy][column][budget + 1]; budget 0: everything is kept

  report_point const& at(std::size_t policy, std::size_t column, std::size_t budget) const {
    return points[(policy * columns.size() + column) * (budgets.size() + 1) + budget];
  }
  report_run const* first_of(std::size_t column) const;
  bool perplexity(std::size_t column) const { return first_of(column) != nullptr && first_of(column)->perplexity(); }
  // The policy that keeps everything in this column, or null.
  report_point const* full(std::size_t column) const;
  // Whether every policy has runs in this column.
  bool for_all(std::size_t column) const;
  // Policies that a budget bounds, best mean score first.
  std::vector<std::size_t> ranked() const;
  // Mean of the scores of all tasks but perplexity; NaN unless every task has one.
  double mean_score(std::size_t policy, std::size_t budget) const;
  // Half the width of its 95 % interval, from those of the tasks, which are independent; NaN where one has none.
  double half_width(std::size_t policy, std::size_t budget) const;
  // Mean over the columns that every policy has; NaN: there is none.
  double mean(std::size_t policy, std::size_t budget, double report_run::*field) const;
};

// Throws usage_error or bad_file.
report_data read_results(std::string const& folder);

}  // namespace programs
