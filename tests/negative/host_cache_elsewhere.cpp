// expect: kvsift: the cache lies in the host's memory, which this executor cannot reach
#include <kvsift/kvsift.hpp>
#include <support/far_memory.hpp>

void decode(kvsift::kv_tensor<decltype(kvsift::roco(64, 9))>& cache, float const* queries, float* out) {
#ifndef MUST_COMPILE
  kvsift::attend(support::far_executor{}, cache[0], queries, out);
#else
  kvsift::attend(kvsift::serial_executor{}, cache[0], queries, out);
#endif
}
