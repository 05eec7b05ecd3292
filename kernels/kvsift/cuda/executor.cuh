#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <cuda_runtime_api.h>

#include <kvsift/core/check.hpp>
#include <kvsift/cuda/block_group.cuh>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/cuda/status.hpp>
#include <kvsift/exec/block_memory.hpp>
#include <kvsift/exec/executor.hpp>

namespace kvsift {

namespace cuda {

/// Most threads of a block: at 256 each may have all the registers that there are, 255, whatever the GPU.
inline constexpr std::uint32_t most_block_threads = 256;
/// Most bytes of a task: what a launch can carry.
inline constexpr std::size_t most_task_bytes = 32764;
/// Shared memory that a block may have unasked.
inline constexpr std::size_t unasked_block_bytes = 48 * 1024;

/// The one kernel: a task over the block's threads. The task stays in the constant bank; parts of it are pointed to. It has no launch
/// bounds: told of 256 threads ptxas spills to let two blocks in, or takes all registers where one has room anyway.
template <class Task>
__global__ void run_task(__grid_constant__ Task const task) {
  task(block_group{}, blockIdx.x);
}

/// What an error calls a launch: `cut_task`, of kvsift::cut_task<...>.
template <class Task>
std::string task_name() {
  std::string const text = __PRETTY_FUNCTION__;  // ... [with Task = kvsift::cut_task<...>], with spaces or without
  std::string name = text.substr(text.find('=', text.find('[')) + 1);
  name = name.substr(0, name.find_first_of("<;]"));
  return name.substr(name.find_last_of(": ") + 1);
}

}  // namespace cuda

/// Enqueues a task on a stream, one CUDA block a block. launch returns when the task is enqueued; it allocates nothing, does not
/// wait, and can be captured. Copies share the stream, which belongs to the caller.
class cuda_executor {
 public:
  using is_executor = void;
  using space = cuda::device_space;

  /// threads: of a block; the cache is planned for them with cache_options.group_threads.
  explicit cuda_executor(cudaStream_t stream, std::uint32_t threads = 128) : stream_(stream), threads_(threads) {
    require(threads >= 1 && threads <= cuda::most_block_threads, "threads", threads, "give 1 to 256 threads a block");
  }
  cudaStream_t stream() const { return stream_; }
  std::uint32_t group_threads() const { return threads_; }

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    static_assert(std::is_trivially_copyable_v<Task>,
                  "kvsift: a task is copied to the device byte by byte; its policy's parts must be trivially copyable");
    static_assert(sizeof(Task) <= cuda::most_task_bytes, "kvsift: a task is passed by value and may have at most 32,764 bytes");
    if (blocks == 0) return;
    void* arguments[] = {const_cast<Task*>(__builtin_addressof(task))};
    auto const kernel = reinterpret_cast<void const*>(&cuda::run_task<Task>);
    std::size_t const memory = block_bytes_of(task, threads_);
    cudaError_t status = cudaSuccess;
    if (memory > cuda::unasked_block_bytes)
      status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(memory));
    if (status == cudaSuccess) status = cudaLaunchKernel(kernel, dim3(blocks), dim3(threads_), arguments, memory, stream_);
    if (status != cudaSuccess) cuda::check(status, ("launch of " + cuda::task_name<Task>()).c_str());
  }

 private:
  cudaStream_t stream_;
  std::uint32_t threads_;
};

}  // namespace kvsift
