#pragma once
// Prompts that are cut, selections over many rows, slots that move: on a GPU, compiled by nvcc once.
#include <cstddef>
#include <cstdint>
#include <memory>

#include <cuda_runtime_api.h>

#include <bench/device/cases.hpp>

namespace bench {

/// Several prompts of one case, in turn, so that none is in an L2 when it is cut.
class prompts {
 public:
  virtual ~prompts() = default;
  /// Makes ready for the next prompt; waits for the stream.
  virtual void next() = 0;
  /// Mass of the window, selection, survivors.
  virtual void compress() = 0;
  /// The mass alone.
  virtual void mass() = 0;
};
std::unique_ptr<prompts> make_prompts(cudaStream_t stream, prompt_case const& c, double l2);

/// The lowest `count` of each of many rows of scores [rows, length], by one way of several. Its memory is its own.
class row_selection {
 public:
  virtual ~row_selection() = default;
  /// `scores` stay as they are.
  virtual void select(float const* scores) = 0;
  /// Whether the host waits within it, so that no graph can hold it.
  virtual bool waits() const { return false; }
};
/// select_rows.
std::unique_ptr<row_selection> make_row_selection(cudaStream_t stream, select_case const& c);
/// CUB: all rows sorted, scores alone; where the cut falls among equals is then not known, so they do a little less.
enum class cub_sort { segmented_radix, segmented };
std::unique_ptr<row_selection> make_cub_selection(cudaStream_t stream, select_case const& c, cub_sort how);

/// Rows of which one slot in `one_in` leaves at once.
class moving_rows {
 public:
  virtual ~moving_rows() = default;
  virtual void move() = 0;
};
std::unique_ptr<moving_rows> make_moving_rows(cudaStream_t stream, move_case const& c);
/// Rows whose fp32 keys are all turned by one position in place, as rerotated_positions does.
std::unique_ptr<moving_rows> make_turning_rows(cudaStream_t stream, move_case const& c);

}  // namespace bench
