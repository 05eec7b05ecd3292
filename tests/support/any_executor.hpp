#pragma once

#include <cstdint>
#include <functional>

#include <kvsift/exec/executor.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <support/thread_group.hpp>

namespace support {

/// An executor chosen at run time: serial, a pool of threads, or one group of threads a block.
class any_executor {
 public:
  using is_executor = void;

  any_executor() = default;
  any_executor(kvsift::parallel_executor const& pool) : pool_(&pool) {}
  any_executor(thread_group_executor group) : group_(group.threads) {}

  /// Called before every launch.
  std::function<void()> before_launch{};

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    if (before_launch) before_launch();
    if (pool_ != nullptr) return pool_->launch(blocks, task);
    if (group_ != 0) return thread_group_executor{group_}.launch(blocks, task);
    kvsift::serial_executor{}.launch(blocks, task);
  }

 private:
  kvsift::parallel_executor const* pool_ = nullptr;
  std::uint32_t group_ = 0;
};

}  // namespace support
