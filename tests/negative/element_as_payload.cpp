// expect: kvsift: the payload of a kv_tensor says how a vector is stored
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
using storage = float;
#else
using storage = kvsift::fp32_payload;
#endif
kvsift::kv_tensor<decltype(kvsift::roco(512, 144)), storage> cache{kvsift::cache_shape{}, kvsift::roco(512, 144)};
