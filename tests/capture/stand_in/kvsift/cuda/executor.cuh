#pragma once
// Stands in for the executor of the same name, in front of it on the include path: tasks run on the host, over memory of the recording
// runtime, and a capture keeps them for its graph. So what is tested on a GPU can be tried without one, replays among it.

#include <cstdint>

#include <capture/recording_runtime.hpp>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/exec/executor.hpp>
#include <support/block_memory.hpp>

namespace kvsift {

class cuda_executor {
 public:
  using is_executor = void;
  using space = cuda::device_space;

  cuda_executor(cudaStream_t stream, std::uint32_t threads) : stream_(stream), threads_(threads) {}
  cudaStream_t stream() const { return stream_; }
  std::uint32_t group_threads() const { return threads_; }

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    auto const run = [blocks, task] {
      support::block_memory memory(block_bytes_of(task, 1));
      for (std::uint32_t block = 0; block < blocks; ++block) task(support::with_memory(serial_group{}, memory.data()), block);
    };
    if (capture::recorded().capturing) capture::recorded().captured.push_back(run);
    else run();
  }

 private:
  cudaStream_t stream_;
  std::uint32_t threads_;
};

}  // namespace kvsift
