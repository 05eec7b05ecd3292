#pragma once
// How make_cuda_session_cache is made; for the sources that nvcc compiles.
#include <common/session_cache_of.hpp>
#include <cuda/cuda_session_cache.hpp>
#include <kvsift/cuda/executor.cuh>
#include <kvsift/cuda/memory.hpp>

namespace programs {

struct on_cuda {
  using interface = cuda_session_cache;
  using memory = kvsift::cuda::memory<>;
  using given = reference_model::on_stream;
  static kvsift::cuda_executor executor(given on) { return kvsift::cuda_executor(on.stream, on.threads); }
  static constexpr std::uint32_t group_threads = 128;
  memory source;
};

template <class Payload, class Placement>
std::unique_ptr<cuda_session_cache> make_cuda_session_cache(reference_model::on_stream on, reference_model::config const& c, policy_choice const& choice,
                                                            session_options const& o) {
  return make_session_cache_of<Payload, Placement>(on_cuda{kvsift::cuda::memory<>(on.stream)}, c, choice, o);
}

}  // namespace programs
