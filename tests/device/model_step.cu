// What a step of the reference model enqueues, without what makes one: the object's calls are those of a step.
#include <reference_model/cuda/cublas_executor.cuh>
#include <reference_model/model/transformer.hpp>

namespace device {

/// A cache whose verbs are somebody else's.
struct absent_cache {
  struct absent_layer {};
  kvsift::keys_are keys_are() const { return kvsift::keys_are::encoded; }
  absent_layer layer(std::uint32_t) const { return {}; }
};
void step(reference_model::cublas_executor const&, absent_cache::absent_layer, kvsift::arrivals const&, float*) {}
void evict(reference_model::cublas_executor const&, absent_cache const&) {}

}  // namespace device

using on_a_stream = reference_model::transformer_in<kvsift::cuda::memory<>>;
template float const* on_a_stream::run(reference_model::cublas_executor const&, device::absent_cache const&, std::uint32_t);
template void on_a_stream::pick(reference_model::cublas_executor const&, std::uint32_t);
