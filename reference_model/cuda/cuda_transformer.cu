#include <reference_model/cuda/cuda_transformer.hpp>

#include <kvsift/cuda/memory.hpp>
#include <reference_model/cuda/cublas_executor.cuh>
#include <reference_model/model/transformer.hpp>

namespace reference_model {

namespace {

struct cache_on_stream;
struct layer_on_stream {
  cache_on_stream const& all;
  std::uint32_t layer;
};
struct cache_on_stream {
  stream_cache& cache;
  kvsift::keys_are keys_are() const { return cache.keys_are(); }
  layer_on_stream layer(std::uint32_t l) const { return {*this, l}; }
};

on_stream where(cublas_executor const& on) { return {on.stream(), on.group_threads()}; }

void step(cublas_executor const& on, layer_on_stream at, kvsift::arrivals const& piece, float* out) {
  at.all.cache.step(where(on), at.layer, piece, out);
}
void evict(cublas_executor const& on, cache_on_stream const& all) { all.cache.evict(where(on)); }

}  // namespace

struct cuda_transformer::made {
  cublas_executor on;
  transformer_in<kvsift::cuda::memory<>> decoder;

  made(on_stream where, model const& m, std::uint32_t most_tokens, logits_of which)
      : on(where.stream, where.threads), decoder(m, most_tokens, which, kvsift::cuda::memory<>(where.stream)) {}
};

cuda_transformer::cuda_transformer(on_stream on, model const& m, std::uint32_t most_tokens, logits_of which)
    : made_(std::make_unique<made>(on, m, most_tokens, which)) {}
cuda_transformer::~cuda_transformer() = default;
cuda_transformer::cuda_transformer(cuda_transformer&&) noexcept = default;

float const* cuda_transformer::forward(stream_cache& cache, std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n) {
  take(tokens, positions, n);
  return run(cache, n);
}
void cuda_transformer::take(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n) {
  made_->decoder.take(tokens, positions, n);
}
float const* cuda_transformer::run(stream_cache& cache, std::uint32_t n) {
  cache_on_stream const all{cache};
  return made_->decoder.run(made_->on, all, n);
}
void cuda_transformer::pick(std::uint32_t n) { made_->decoder.pick(made_->on, n); }
std::uint32_t cuda_transformer::picked() const { return made_->decoder.picked(); }

}  // namespace reference_model
