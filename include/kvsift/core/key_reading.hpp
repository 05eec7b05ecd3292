#pragma once

#include <cstdint>

#include <kvsift/core/linear_bias.hpp>
#include <kvsift/core/rotary.hpp>

namespace kvsift {

/// What attention does with keys as they are stored, so that each counts at the place where the position rule has it. As a task
/// sees it.
struct key_reading {
  enum class way : std::uint32_t {
    as_stored,    ///< keys and queries come as they are to meet
    by_rank,      ///< keys are turned to their rank as they are read, the query to its own
    two_queries,  ///< keys and queries were turned to their positions; the first `sinks` meet the query turned back to its rank
  };
  way how = way::as_stored;
  bool ranked = false;       ///< places are ranks; else positions
  bool turned = false;       ///< keys are stored turned to their rank: one that comes to another is turned by the difference
  std::uint32_t sinks = 0;   ///< of two_queries
  linear_bias bias{};
  rotary_view table{};       ///< of by_rank, the ranks' rotations; of two_queries and turned of_digits
};

}  // namespace kvsift
