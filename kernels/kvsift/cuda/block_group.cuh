#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_pipeline_primitives.h>

#include <kvsift/exec/block_memory.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift::cuda {

/// The threads of a one-dimensional CUDA block, as the shared text sees them. Exists on the device alone.
struct block_group {
  __device__ static std::uint32_t thread_rank() { return threadIdx.x; }
  __device__ static std::uint32_t num_threads() { return blockDim.x; }
  __device__ static void sync() { __syncthreads(); }

  /// The block's shared memory, as much as the launch gave it.
  __device__ static std::byte* memory() {
    extern __shared__ __align__(64) std::byte kvsift_block_memory[];
    return kvsift_block_memory;
  }
  /// Asynchronous copies (cp.async): no register holds what is under way.
  template <std::uint32_t Bytes>
  __device__ static void ask_for(std::byte* to, std::byte const* from) {
    if constexpr (Bytes == 8) {
      __pipeline_memcpy_async(to, from, 8);
    } else {
      KVSIFT_UNROLL for (std::uint32_t i = 0; i < Bytes; i += 16) __pipeline_memcpy_async(to + i, from + i, 16);
    }
  }
  __device__ static void end_batch() { __pipeline_commit(); }
  template <std::uint32_t Newest>
  __device__ static void wait_for_batches() {
    __pipeline_wait_prior(Newest);
  }
};
static_assert(group_with_memory<block_group>);

}  // namespace kvsift::cuda
