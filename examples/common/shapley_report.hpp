#pragma once
// What Shapley values of heads are written as: CoKV's arrays, a table by head, all figures, a picture.
#include <cstddef>
#include <optional>
#include <string>

#include <common/sliced_shapley.hpp>

namespace programs {

struct shapley_report {
  std::string game;  // JSON
  std::size_t layers = 0, heads = 0;
  std::size_t samples = 0;
  double until = 0;  // the stop rule: two runs differ by less
  shapley_estimate all;
  agreement runs;
  std::optional<sample_value> ends;  // what everyone and nobody is worth

  // Heads that no draw tells of, as "0-2, 1-3"; "" where every head has its value.
  std::string unknown_heads() const;
  bool stopped() const { return runs.mean_absolute_difference < until; }
};

// until: 0 for 1 / players. Throws bad_file naming `where` for a game without layers and heads.
shapley_report report_of(std::string const& where, std::string const& game, sample_set const& samples, double until);

std::string as_json(shapley_report const& r);    // one object, one line
std::string as_table(shapley_report const& r);   // for people
std::string as_scores(shapley_report const& r);  // {"layer-head": value}, which --set allocator.scores reads
std::string as_arrays(shapley_report const& r);  // .npy [1, slices, 4, heads of all layers], CoKV's, which it reads too
std::string as_heat_map(shapley_report const& r);  // SVG

}  // namespace programs
