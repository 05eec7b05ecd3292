// expect: no matching function for call to .evict
#include <kvsift/kvsift.hpp>

void decode(kvsift::kv_tensor<kvsift::any_policy>& cache) {
#ifndef MUST_COMPILE
  kvsift::evict(cache, kvsift::serial_executor{});
#else
  kvsift::evict(kvsift::serial_executor{}, cache);
#endif
}
