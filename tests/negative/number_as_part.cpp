// expect: kvsift: what follows the options of a kv_tensor is a payload, a position rule, a disposal, a placement or a memory
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::roco(512, 144), {}, 16};
#else
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::roco(512, 144), {}, kvsift::fp16_payload{}};
#endif
