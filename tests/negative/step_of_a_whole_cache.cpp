// expect: cache_layer
#include <kvsift/kvsift.hpp>

void decode(kvsift::kv_tensor<kvsift::any_policy>& cache, kvsift::arrivals const& token, float* out) {
#ifndef MUST_COMPILE
  kvsift::step(kvsift::serial_executor{}, cache, token, out);
#else
  kvsift::step(kvsift::serial_executor{}, cache[0], token, out);
#endif
}
