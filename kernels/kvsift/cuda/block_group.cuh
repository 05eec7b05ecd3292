#pragma once

#include <cstdint>

#include <kvsift/exec/group.hpp>

namespace kvsift::cuda {

/// The threads of a one-dimensional CUDA block, as the shared text sees them. Exists on the device alone.
struct block_group {
  __device__ static std::uint32_t thread_rank() { return threadIdx.x; }
  __device__ static std::uint32_t num_threads() { return blockDim.x; }
  __device__ static void sync() { __syncthreads(); }
};
static_assert(cooperative_group<block_group>);

}  // namespace kvsift::cuda
