#pragma once
// Numbers by head, as head scores are published.
#include <cstddef>
#include <string>
#include <vector>

namespace programs {

struct head_table {
  std::size_t layers = 0, heads = 0;
  std::vector<double> values;  // [layers, heads]
};

// Reads a table by what its name ends in:
//   .json  an object "layer-head" -> number, or list of samples, of which the mean counts (HeadKV)
//   .tsv   a line a layer, numbers separated by tabs (DuoAttention)
//   .npy   float64 in C order, [layers, heads]; or CoKV's [tasks, slices, 4, heads of all layers], of which task `task` is
//          summed over its slices as contribution / count: one row of `layers` layers
// Throws bad_file.
head_table load_head_table(std::string const& path, std::size_t task = 0);

}  // namespace programs
