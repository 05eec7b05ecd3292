// docs/guide/gpu.md: how an engine captures a step of all layers.
#include <kvsift/cuda/executor.cuh>
#include <kvsift/cuda/graph.hpp>
#include <kvsift/kvsift.hpp>
namespace ks = kvsift;

// The engine's own: arrays in device memory, and its kernels between the library's.
ks::arrivals prompt(std::uint32_t layer);
float const* queries(std::uint32_t layer);
float const* keys(std::uint32_t layer);
float const* values(std::uint32_t layer);
float* out(std::uint32_t layer);
void project(cudaStream_t stream, std::uint32_t layer);
void finish(cudaStream_t stream, std::uint32_t layer);
bool goes_on();
float* masses(std::uint32_t layer);
template <class Rows>
void attention(cudaStream_t stream, Rows const& rows, std::uint32_t first, float const* queries, float* out, float* masses);

void generate(cudaStream_t stream, ks::cache_shape const& shape) {
  constexpr std::uint32_t threads = 128;
  ks::cuda_executor const on(stream, threads);
  ks::kv_tensor cache{shape, ks::roco(1024, 144), ks::cache_options{.max_piece = 4096, .group_threads = threads}, ks::cuda::memory{stream}};

  for (std::uint32_t layer = 0; layer < shape.layers; ++layer)    // the prompt; all arrays are the device's
    ks::step(on, cache[layer], prompt(layer), out(layer));
  ks::evict(on, cache);

  auto const token = [&] {
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
      project(stream, layer);                                     // your own kernels; they read and write at fixed places
      ks::step(on, cache[layer], {queries(layer), keys(layer), values(layer), 1}, out(layer));
      finish(stream, layer);
    }
    ks::evict(on, cache);
  };
  ks::cuda::graph const step = ks::cuda::graph::capture(stream, token);   // nothing of it runs yet
  step.launch(stream);
  while (goes_on()) {
    cache.count_replayed();   // the verbs counted the capture, for the first launch; each further one is counted here
    step.launch(stream);
  }
}

auto bf16_cache(cudaStream_t stream, ks::cache_shape const& shape) {
  return ks::kv_tensor{shape, ks::roco(1024, 144), {.group_threads = 128}, ks::bf16_payload{}, ks::cuda::memory{stream}};
}

void attend_oneself(cudaStream_t stream, decltype(bf16_cache(nullptr, {}))& cache, std::uint32_t layer) {
  ks::cuda_executor const on(stream, 128);
  ks::append(on, cache[layer], keys(layer), values(layer));   // fp32, stored as bf16
  auto const rows = cache.view();                             // of device pointers: for kernels
  std::uint32_t const first = layer * rows.shape.layer_rows();
  // Row first + sequence x kv_heads + head: rows.row(r).keys.at(slot), in rows or pages; held slots: row(r).state->held.
  attention(stream, rows, first, queries(layer), out(layer), masses(layer));   // masses [sequences, kv_heads, pitch], the mean over the group
  ks::observe(on, cache[layer], masses(layer), cache.capacity());
}
