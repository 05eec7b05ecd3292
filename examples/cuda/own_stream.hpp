#pragma once
// A stream of the program's own, which waits for it in the end.
#include <cuda_runtime_api.h>

#include <kvsift/cuda/status.hpp>

namespace programs {

// Throws usage_error unless there is a GPU.
void require_cuda();

struct own_stream {
  cudaStream_t value = nullptr;

  own_stream() {
    require_cuda();
    kvsift::cuda::check(cudaStreamCreateWithFlags(&value, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }
  own_stream(own_stream const&) = delete;
  ~own_stream() {
    if (cudaStreamSynchronize(value) != cudaSuccess) (void)cudaGetLastError();
    if (cudaStreamDestroy(value) != cudaSuccess) (void)cudaGetLastError();
  }
};

}  // namespace programs
