#pragma once
// The rows of a run of lab: taken from its folder, and answered where they are missing.
#include <functional>
#include <vector>

#include <common/heap_use.hpp>
#include <common/lab_options.hpp>
#include <common/tasks/result_folder.hpp>
#include <common/tasks/samples_of_task.hpp>

namespace programs {

struct lab_rows {
  std::vector<prediction_row> rows;  // [samples]
  session_memory memory;
  heap_growth heap;
};

// Calls done(n) when n more rows are there. Throws usage_error or bad_file.
lab_rows rows_of(loaded_model const& m, lab_options const& a, samples_of_task const& t, lab_run const& r,
                 std::function<void(std::size_t)> const& done);

}  // namespace programs
