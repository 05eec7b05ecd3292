// expect: kvsift: a kv_tensor is given two parts of the same kind
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::roco(512, 144), {}, kvsift::in_pages{}, kvsift::in_rows{}};
#else
kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::roco(512, 144), {}, kvsift::in_pages{}, kvsift::bf16_payload{}};
#endif
