#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <cublas_v2.h>

#include <kvsift/cuda/executor.cuh>
#include <reference_model/cuda/cublas.hpp>
#include <reference_model/model/linear.hpp>
#include <reference_model/model/tasks.hpp>

namespace reference_model {

/// An executor of a stream whose matrix products are cuBLAS's. Copies share the stream and cuBLAS's handle.
class cublas_executor : public kvsift::cuda_executor {
 public:
  explicit cublas_executor(cudaStream_t stream, std::uint32_t threads = 128)
      : kvsift::cuda_executor(stream, threads), products_(std::make_shared<cublas>(stream)) {}
  cublasHandle_t handle() const { return products_->handle(); }

 private:
  std::shared_ptr<cublas> products_;
};

namespace detail {

inline cudaDataType_t cuda_type(number as) {
  return as == number::fp32 ? CUDA_R_32F : as == number::fp16 ? CUDA_R_16F : CUDA_R_16BF;
}

}  // namespace detail

/// Multiplies x [n, columns] with several matrices, one call each, sums in fp32. For weights in 16 bits x is rounded to what they are,
/// into `narrowed`, in one launch more.
template <std::size_t Count>
void linear(cublas_executor const& on, float const* x, std::uint32_t n, std::uint32_t columns, std::array<product, Count> const& products,
            void* narrowed = nullptr) {
  float const one = 1, none = 0;
  number is = number::fp32;  // what `narrowed` holds
  for (product const& p : products) {
    number const as = p.weights.as;
    if (as != number::fp32 && as != is) {
      std::size_t const size = std::size_t{n} * columns;
      on.launch(static_cast<std::uint32_t>((size + narrow_task::each - 1) / narrow_task::each), narrow_task{x, size, as, narrowed});
      is = as;
    }
    void const* const in = as == number::fp32 ? x : narrowed;
    // Rows here are columns there: out' [rows, n] = weights' transposed x'.
    check(cublasGemmEx(on.handle(), CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(p.rows), static_cast<int>(n), static_cast<int>(columns), &one,
                       p.weights.numbers, detail::cuda_type(as), static_cast<int>(columns), in, detail::cuda_type(as), static_cast<int>(columns),
                       &none, p.out, CUDA_R_32F, static_cast<int>(p.rows), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx of a layer");
  }
}

}  // namespace reference_model
