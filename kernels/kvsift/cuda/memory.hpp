#pragma once

#include <concepts>
#include <cstddef>
#include <new>
#include <string>
#include <utility>

#include <cuda_runtime_api.h>

#include <kvsift/cache/memory.hpp>
#include <kvsift/cuda/status.hpp>

namespace kvsift::cuda {

/// The memory of CUDA devices.
struct device_space {
  static constexpr bool splits_rows = true;
};

/// There is not so much device memory. Nothing was changed.
class out_of_memory : public std::bad_alloc {
 public:
  explicit out_of_memory(std::size_t bytes)
      : line_("device memory: " + std::to_string(bytes) + " bytes asked for are not there; lower the budget, the longest piece or the batch") {}
  char const* what() const noexcept override { return line_.c_str(); }

 private:
  std::string line_;
};

/// Where device memory comes from, in the order of a stream: allocate(bytes, stream) gives memory on a 64-byte boundary, or null, or
/// throws where there is not so much; deallocate(pointer, bytes, stream) throws nothing. Copied into every block: a handle, not the
/// pool itself.
template <class R>
concept device_resource = std::semiregular<R> && requires(R& resource, std::size_t bytes, void* pointer, cudaStream_t stream) {
  { resource.allocate(bytes, stream) } -> std::convertible_to<void*>;
  resource.deallocate(pointer, bytes, stream);
};

/// The device's own pool.
struct stream_ordered {
  void* allocate(std::size_t bytes, cudaStream_t stream) const {
    void* pointer = nullptr;
    cudaError_t const status = cudaMallocAsync(&pointer, bytes, stream);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaMallocAsync");
    return pointer;
  }
  void deallocate(void* pointer, std::size_t, cudaStream_t stream) const noexcept {
    if (cudaFreeAsync(pointer, stream) != cudaSuccess) (void)cudaGetLastError();
  }
};

/// Owns device memory; given back in the order of its stream, so that work that is queued there still has it.
template <device_resource Resource>
class device_block {
 public:
  device_block() = default;
  device_block(std::size_t bytes, cudaStream_t stream, Resource const& resource) : stream_(stream), resource_(resource), bytes_(bytes) {
    if (bytes == 0) return;
    data_ = static_cast<std::byte*>(resource_.allocate(bytes, stream));
    if (data_ == nullptr) throw out_of_memory(bytes);
  }
  device_block(device_block&& other) noexcept { *this = std::move(other); }
  device_block& operator=(device_block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(stream_, other.stream_);
    std::swap(resource_, other.resource_);
    return *this;
  }
  ~device_block() {
    if (data_ != nullptr) resource_.deallocate(data_, bytes_, stream_);
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  cudaStream_t stream_ = nullptr;
  Resource resource_{};
  std::size_t bytes_ = 0;
};

/// Device memory for a cache, in the order of a stream, which has to outlive it. Copies wait for the stream: caches are made, cleared by
/// their member and copied outside of captures.
template <device_resource Resource = stream_ordered>
class memory {
 public:
  using space = device_space;
  using block = device_block<Resource>;

  explicit memory(cudaStream_t stream, Resource const& resource = {}) : stream_(stream), resource_(resource) {}
  cudaStream_t stream() const { return stream_; }

  block allocate(std::size_t bytes) const { return block(bytes, stream_, resource_); }
  void copy_in(void* to, void const* from, std::size_t bytes) const { copy(to, from, bytes, cudaMemcpyHostToDevice); }
  void copy_out(void* to, void const* from, std::size_t bytes) const { copy(to, from, bytes, cudaMemcpyDeviceToHost); }

 private:
  void copy(void* to, void const* from, std::size_t bytes, cudaMemcpyKind direction) const {
    check(cudaMemcpyAsync(to, from, bytes, direction, stream_), "cudaMemcpyAsync of a cache");
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize after a copy of a cache");
  }

  cudaStream_t stream_;
  Resource resource_;
};
static_assert(cache_memory<memory<>>);

}  // namespace kvsift::cuda
