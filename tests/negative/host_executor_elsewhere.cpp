// expect: kvsift: the cache lies in memory that a host executor cannot reach
#include <kvsift/kvsift.hpp>
#include <support/far_memory.hpp>

void decode(kvsift::kv_tensor<decltype(kvsift::roco(64, 9)), kvsift::fp32_payload, kvsift::original_positions, kvsift::dropped, kvsift::in_rows,
                              support::far_memory>& cache) {
#ifndef MUST_COMPILE
  kvsift::evict(kvsift::serial_executor{}, cache);
#else
  kvsift::evict(support::far_executor{}, cache);
#endif
}
