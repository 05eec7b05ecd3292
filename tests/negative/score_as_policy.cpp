// expect: kvsift: a kv_tensor takes a policy after the shape
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::mean_attention{}};
#else
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::mean_attention_policy(512, 10)};
#endif
