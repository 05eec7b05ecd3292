// expect: kvsift: the cache lies in the host's memory, which this executor cannot reach
#include <kvsift/cuda/executor.cuh>
#include <kvsift/kvsift.hpp>

using namespace kvsift;

#ifndef MUST_COMPILE
using where = main_memory;
#else
using where = cuda::memory<>;
#endif

void attend(cuda_executor const& on, kv_tensor<decltype(full()), fp32_payload, original_positions, dropped, in_rows, where>& cache,
            float const* queries, float* out) {
  attend(on, cache[0], queries, out);
}
