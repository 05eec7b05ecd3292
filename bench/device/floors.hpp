#pragma once
// What this GPU can do, measured in the process that uses it as a limit: bandwidths, and what a launch costs.
#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include <bench/device/measure.hpp>

namespace bench {

/// Bytes a second; of copies read and written bytes together.
struct device_limits {
  double copy = 0;         ///< of cudaMemcpyAsync or of our copy kernel, whichever is faster
  double l2_bytes = 0;
  double memory_bytes = 0; ///< free
};
/// Measured when first asked for, over a gibibyte.
device_limits const& limits_of_device();

/// Work of the floors: kernels of the benchmark's own. Sizes in bytes, multiples of 64 KiB; pointers on 16-byte boundaries.
void enqueue_copy(cudaStream_t stream, void* to, void const* from, std::size_t bytes);
void enqueue_read(cudaStream_t stream, void const* from, std::size_t bytes, unsigned* sink);
void enqueue_write(cudaStream_t stream, void* to, std::size_t bytes);
/// Numbers between low and high, different for each seed.
void enqueue_random(cudaStream_t stream, float* to, std::size_t count, float low, float high, std::uint32_t seed);
/// vectors [count, bytes_each] out of vectors, by index [count]: what compaction into a fresh cache does. bytes_each: a multiple of 16.
void enqueue_gather(cudaStream_t stream, void* to, void const* from, std::uint32_t const* index, std::size_t count, std::size_t bytes_each);
void enqueue_indices(cudaStream_t stream, std::uint32_t* index, std::size_t count);

/// A kernel of one block that does nothing; `dependent`: launched while its predecessor runs, and waiting for it on the device.
void enqueue_empty(cudaStream_t stream, bool dependent);
/// A kernel of `blocks` blocks in clusters of `size` that meet once. admits_clusters(size) comes first: whether the GPU has such clusters.
bool admits_clusters(std::uint32_t size);
void enqueue_cluster(cudaStream_t stream, std::uint32_t blocks, std::uint32_t size);

}  // namespace bench
