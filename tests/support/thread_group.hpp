#pragma once

#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include <kvsift/exec/executor.hpp>

namespace support {

/// A group of host threads with a barrier: what a CUDA block is to the text of a task. Under ThreadSanitizer a missing
/// sync() is a reported race.
class thread_group {
 public:
  thread_group(std::uint32_t rank, std::uint32_t count, std::barrier<>& barrier)
      : rank_(rank), count_(count), barrier_(barrier) {}
  std::uint32_t thread_rank() const { return rank_; }
  std::uint32_t num_threads() const { return count_; }
  void sync() const { barrier_.arrive_and_wait(); }

 private:
  std::uint32_t rank_;
  std::uint32_t count_;
  std::barrier<>& barrier_;
};

/// Runs every block of a task by one group of `threads` host threads.
struct thread_group_executor {
  using is_executor = void;
  std::uint32_t threads = 1;

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    std::barrier<> barrier(static_cast<std::ptrdiff_t>(threads));
    std::vector<std::thread> group;
    group.reserve(threads);
    for (std::uint32_t rank = 0; rank < threads; ++rank)
      group.emplace_back([&, rank] {
        thread_group const mine(rank, threads, barrier);
        for (std::uint32_t block = 0; block < blocks; ++block) {
          task(mine, block);
          mine.sync();
        }
      });
    for (std::thread& t : group) t.join();
  }
};

}  // namespace support
