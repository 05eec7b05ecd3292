#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cuda/executor.cuh>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/kvsift.hpp>

// What the sources beside this instantiate: every verb of a policy on a CUDA stream. Nothing here is called; it is compiled, and what
// was made of it is audited (tests/audit/kernels.py).
namespace instantiate {

template <class Policy, class Payload = kvsift::fp32_payload, class Position = kvsift::original_positions, class Disposal = kvsift::dropped,
          class Placement = kvsift::in_rows>
using cache = kvsift::kv_tensor<Policy, Payload, Position, Disposal, Placement, kvsift::cuda::memory<>>;

/// All verbs over one cache. A verb that is not asked for by any caller still makes its kernels.
template <class Cache>
void every_verb(kvsift::cuda_executor const& on, Cache& all, float const* in, float* out) {
  auto const layer = all[0];
  kvsift::compress(on, layer, in, in, 2, {in, in, in, in, 16});
  kvsift::step(on, layer, {in, in, in, 2}, out);
  kvsift::append(on, layer, in, in, in);
  kvsift::attend(on, layer, in, out);
  kvsift::observe(on, layer, in, 16);
  kvsift::evict(on, layer);
  kvsift::evict(on, all);
  kvsift::make_room(on, all, 1);
  kvsift::clear(on, all);
  kvsift::pause(on, all);
  kvsift::resume(on, all);
}

/// Caches of these types: template class instantiate::verbs<...> makes their kernels.
template <class... Caches>
struct verbs {
  static void make(kvsift::cuda_executor const& on, Caches&... caches, float const* in, float* out) { (every_verb(on, caches, in, out), ...); }
};

}  // namespace instantiate
