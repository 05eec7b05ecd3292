// The calls of cuBLAS that the reference model makes, in place of the toolkit's library: products by plain loops over the memory of the
// recording runtime, which notes them. In a capture they are kept for its graph.
#include <cstddef>
#include <cstdint>

#include <cublas_v2.h>

#include <capture/recording_runtime.hpp>
#include <kvsift/core/half.hpp>

namespace {

struct handle {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
};
handle& of(cublasHandle_t h) { return *reinterpret_cast<handle*>(h); }

float element(void const* array, cudaDataType_t type, std::size_t i) {
  if (type == CUDA_R_32F) return static_cast<float const*>(array)[i];
  if (type == CUDA_R_16F) return kvsift::to_float(static_cast<kvsift::fp16 const*>(array)[i]);
  return kvsift::to_float(static_cast<kvsift::bf16 const*>(array)[i]);
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* h) {
  *h = reinterpret_cast<cublasHandle_t>(new handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h) {
  delete &of(h);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream) {
  of(h) = {stream, nullptr};  // as there: the workspace is given up
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void* workspace, std::size_t) {
  of(h).workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

/// c [n columns of m] = alpha a' b + beta c, a' being a [k, m] read row by row. What the model does not ask for is refused.
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t transposed_a, cublasOperation_t transposed_b, int m, int n, int k, void const* alpha,
                            void const* a, cudaDataType_t type_a, int apart_a, void const* b, cudaDataType_t type_b, int apart_b, void const* beta,
                            void* c, cudaDataType_t type_c, int apart_c, cublasComputeType_t sums, cublasGemmAlgo_t) {
  bool const known = type_a == CUDA_R_32F || type_a == CUDA_R_16F || type_a == CUDA_R_16BF;
  if (transposed_a != CUBLAS_OP_T || transposed_b != CUBLAS_OP_N || type_a != type_b || !known || type_c != CUDA_R_32F || sums != CUBLAS_COMPUTE_32F)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (apart_a < k || apart_b < k || apart_c < m || of(h).workspace == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  float const scale = *static_cast<float const*>(alpha), kept = *static_cast<float const*>(beta);
  auto const multiply = [=] {
    for (int column = 0; column < n; ++column)
      for (int row = 0; row < m; ++row) {
        float sum = 0;
        for (int i = 0; i < k; ++i)
          sum += element(a, type_a, static_cast<std::size_t>(row) * static_cast<std::size_t>(apart_a) + static_cast<std::size_t>(i)) *
                 element(b, type_b, static_cast<std::size_t>(column) * static_cast<std::size_t>(apart_b) + static_cast<std::size_t>(i));
        float& out = static_cast<float*>(c)[static_cast<std::size_t>(column) * static_cast<std::size_t>(apart_c) + static_cast<std::size_t>(row)];
        out = scale * sum + (kept == 0 ? 0 : kept * out);
      }
  };
  capture::recording& all = capture::recorded();
  all.calls.push_back({capture::asked::product, of(h).stream});
  if (all.capturing) all.captured.push_back(multiply);
  else multiply();
  return CUBLAS_STATUS_SUCCESS;
}

char const* cublasGetStatusString(cublasStatus_t) { return "as recorded"; }

}  // extern "C"
