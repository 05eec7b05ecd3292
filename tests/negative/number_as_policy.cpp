// expect: kvsift: a kv_tensor takes a policy after the shape, such as kvsift::roco\(512, 144\)
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
kvsift::kv_tensor cache{kvsift::cache_shape{}, 0.5f};
#else
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::roco(512, 144)};
#endif
