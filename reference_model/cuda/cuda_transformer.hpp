#pragma once

#include <cstdint>
#include <memory>

#include <cuda_runtime_api.h>

#include <kvsift/evict/arrivals.hpp>
#include <kvsift/position/concepts.hpp>
#include <reference_model/model/logits_of.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// A stream, and the threads of a block on it.
struct on_stream {
  cudaStream_t stream;
  std::uint32_t threads = 128;
};

/// What a transformer on a stream is given as its cache: one in device memory, whatever it is made of.
class stream_cache {
 public:
  virtual ~stream_cache() = default;
  virtual kvsift::keys_are keys_are() const = 0;
  virtual void step(on_stream on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) = 0;
  virtual void evict(on_stream on) = 0;
};

/// A transformer_in device memory, behind an interface that plain C++ can call: compiled by nvcc once, in cuda_transformer.cu. See
/// transformer.hpp for what its functions do. Making one waits for the stream, and so does forward before it enqueues.
class cuda_transformer {
 public:
  /// `m` and the stream must outlive this.
  cuda_transformer(on_stream on, model const& m, std::uint32_t most_tokens = 1, logits_of which = logits_of::last_token);
  ~cuda_transformer();
  cuda_transformer(cuda_transformer&&) noexcept;

  /// Logits are in device memory.
  float const* forward(stream_cache& cache, std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n);
  void take(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint32_t n);
  float const* run(stream_cache& cache, std::uint32_t n);
  void pick(std::uint32_t n);
  std::uint32_t picked() const;

 private:
  struct made;
  std::unique_ptr<made> made_;
};

}  // namespace reference_model
