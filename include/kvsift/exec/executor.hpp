#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Runs a task once per block: task(group, block) for block in [0, blocks). Returns when all have run (host executors)
/// or have been enqueued (stream executors). Blocks do not wait for one another.
template <class E>
concept executor = requires(E const& on) { typename E::is_executor; };

/// One block after another, on the calling thread.
struct serial_executor {
  using is_executor = void;

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    for (std::uint32_t block = 0; block < blocks; ++block) task(serial_group{}, block);
  }
};

}  // namespace kvsift
