#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include <cublas_v2.h>

#include <kvsift/cuda/memory.hpp>

namespace reference_model {

/// A call of cuBLAS that failed. what() is one line: the call, and what cuBLAS says of it.
class cublas_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void check(cublasStatus_t status, char const* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw cublas_error(std::string(call) + ": " + cublasGetStatusString(status));
}

/// cuBLAS on a stream. It works in memory of its own, taken once, so that its calls can be captured. No TF32: fp32 stays fp32.
class cublas {
 public:
  explicit cublas(cudaStream_t stream) : workspace_(workspace_bytes, stream, kvsift::cuda::stream_ordered()) {
    check(cublasCreate(&handle_), "cublasCreate");
    try {
      check(cublasSetStream(handle_, stream), "cublasSetStream");
      check(cublasSetWorkspace(handle_, workspace_.data(), workspace_bytes), "cublasSetWorkspace");
      check(cublasSetMathMode(handle_, CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
    } catch (...) {
      (void)cublasDestroy(handle_);
      throw;
    }
  }
  cublas(cublas const&) = delete;
  ~cublas() { (void)cublasDestroy(handle_); }

  cublasHandle_t handle() const { return handle_; }

 private:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what the manual asks for on sm_90
  kvsift::cuda::device_block<kvsift::cuda::stream_ordered> workspace_;
  cublasHandle_t handle_ = nullptr;
};

}  // namespace reference_model
