#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Up to 32 neighbouring threads of a group, for texts in which nobody waits: each team works at something else. A group of 33
/// has two teams, the second of one thread.
struct team {
  static constexpr std::uint32_t most = 32;

  std::uint32_t index;  ///< which team of the group, of `count`
  std::uint32_t count;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE explicit team(G const& g)
      : index(g.thread_rank() / most), count((g.num_threads() + most - 1) / most), rank_(g.thread_rank() % most) {
    std::uint32_t const behind = g.num_threads() - index * most;
    threads_ = behind < most ? behind : most;
  }
  KVSIFT_HOST_DEVICE std::uint32_t thread_rank() const { return rank_; }
  KVSIFT_HOST_DEVICE std::uint32_t num_threads() const { return threads_; }
  KVSIFT_HOST_DEVICE static constexpr void sync() {}

 private:
  std::uint32_t rank_;
  std::uint32_t threads_;
};

}  // namespace kvsift
