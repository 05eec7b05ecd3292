#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include <kvsift/collective/select_rows.hpp>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/kvsift.hpp>

// The verbs on a CUDA stream over policies chosen at run time, compiled by nvcc once (rows.cu, pages.cu, select.cu) for tests that are plain C++:
// with a GPU, or over a runtime that only records.
namespace device {

using rows_cache = kvsift::kv_tensor<kvsift::any_policy, kvsift::fp32_payload, kvsift::original_positions, kvsift::dropped, kvsift::in_rows,
                                     kvsift::cuda::memory<>>;
using pages_cache = kvsift::kv_tensor<kvsift::any_policy, kvsift::bf16_payload, kvsift::in_cache_positions, kvsift::dropped, kvsift::in_pages,
                                      kvsift::cuda::memory<>>;

/// A stream and the threads of a block: what a cuda_executor is made of.
struct where {
  cudaStream_t stream;
  std::uint32_t threads = 128;
};

/// The verbs of kvsift/evict/verbs.hpp.
template <class Cache>
struct verbs {
  static void step(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& piece, float* out);
  static void evict(where on, Cache& cache);
  static void evict_layer(where on, Cache& cache, std::uint32_t layer);
  static void make_room(where on, Cache& cache, std::uint32_t tokens);
  static void append(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& token);
  static void attend(where on, Cache& cache, std::uint32_t layer, float const* queries, float* out);
  static void observe(where on, Cache& cache, std::uint32_t layer, float const* masses, std::size_t pitch);
  static void compress(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& prompt, kvsift::prompt_masses const& masses);
  /// Of one sequence by itself.
  static void compress_one(where on, Cache& cache, std::uint32_t sequence, std::uint32_t layer, kvsift::arrivals const& prompt,
                           kvsift::prompt_masses const& masses);
  static void clear_one(where on, Cache& cache, std::uint32_t sequence);
  static void set_paused(where on, Cache& cache, std::uint32_t sequence, bool paused);
};

std::size_t select_rows_bytes(where on, kvsift::score_rows const& of);
void select_rows(where on, kvsift::score_rows const& of, kvsift::selection_cut* cuts, std::byte* workspace, std::size_t bytes);
/// In mass.cu.
std::size_t attention_mass_bytes(where on, kvsift::cache_shape const& shape, kvsift::observation_window const& window);
void attention_mass(where on, kvsift::cache_shape const& shape, kvsift::observation_window const& window, float* mass, std::size_t pitch,
                    std::byte* workspace, std::size_t bytes);

}  // namespace device
