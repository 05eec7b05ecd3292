// expect: use of deleted|implicitly-deleted|implicitly deleted
#include <kvsift/kvsift.hpp>

void fork(kvsift::kv_tensor<kvsift::any_policy>& cache) {
#ifndef MUST_COMPILE
  auto twin = cache;
#else
  auto& twin = cache;
#endif
  twin.clear();
}
