#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <kvsift/cuda/memory.hpp>
#include <kvsift/cuda/status.hpp>

namespace device {

/// Whether there is a GPU; where there is none, the test says that it is skipped.
inline bool gpu_is_there() {
  int count = 0;
  cudaError_t const status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return true;
  (void)cudaGetLastError();
  MESSAGE("skipped: no GPU here: ", std::string(cudaGetErrorString(status)));
  return false;
}

/// A stream of its own; waits for it in the end.
struct stream {
  cudaStream_t value = nullptr;
  stream() { kvsift::cuda::check(cudaStreamCreateWithFlags(&value, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  stream(stream const&) = delete;
  ~stream() {
    (void)cudaStreamSynchronize(value);
    (void)cudaStreamDestroy(value);
  }
};

/// An array in device memory.
template <class T>
class array {
 public:
  array(cudaStream_t stream, std::size_t count) : memory_(stream), block_(memory_.allocate(count * sizeof(T))) {}
  array(cudaStream_t stream, std::vector<T> const& values) : array(stream, values.size()) { *this = values; }
  array& operator=(std::vector<T> const& values) {
    if (!values.empty()) memory_.copy_in(block_.data(), values.data(), values.size() * sizeof(T));
    return *this;
  }
  T* data() const { return reinterpret_cast<T*>(block_.data()); }
  std::vector<T> host() const {
    std::vector<T> values(block_.size() / sizeof(T));
    if (!values.empty()) memory_.copy_out(values.data(), block_.data(), block_.size());
    return values;
  }

 private:
  kvsift::cuda::memory<> memory_;
  kvsift::cuda::memory<>::block block_;
};

}  // namespace device
