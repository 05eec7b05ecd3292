#pragma once

#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

namespace kvsift::cuda {

/// A call of the CUDA runtime that failed. what() is one line: the call, what CUDA says of it, the remedy where there is one.
class error : public std::runtime_error {
 public:
  error(cudaError_t status, std::string const& line) : std::runtime_error(line), status_(status) {}
  cudaError_t status() const { return status_; }

 private:
  cudaError_t status_;
};

/// Throws error "<call>: <what CUDA says>[; <remedy>]" unless status is cudaSuccess. The runtime forgets the error as far as it can,
/// so that the next call does not report it again.
inline void check(cudaError_t status, char const* call, char const* remedy = nullptr) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  std::string line = std::string(call) + ": " + cudaGetErrorString(status);
  if (remedy != nullptr) line = line + "; " + remedy;
  throw error(status, line);
}

}  // namespace kvsift::cuda
