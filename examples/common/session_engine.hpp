#pragma once
// What runs a session's model over its cache, on the CPU or on a GPU. Only session*.cpp and examples/cuda include this.
#include <cstdint>
#include <memory>
#include <string>

#include <common/session_cache.hpp>

namespace programs {

class trace_recorder;

class session_engine {
 public:
  virtual ~session_engine() = default;
  virtual session_cache& cache() = 0;
  // Runs a piece of n tokens, see reference_model::transformer, and shows it to the recorder if there is one. kinds [n], or null.
  // Logits lie in the host's memory and are valid until the next call.
  virtual float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds, std::uint32_t n) = 0;
  virtual void make_room(std::uint32_t tokens) = 0;
};

// On the CPU; `o` says of how many threads. The model and the recorder, which may be null, must outlive it.
std::unique_ptr<session_engine> make_host_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o,
                                                 trace_recorder* recorder);

// On a GPU. Throws usage_error in a build without CUDA, where there is none, and of what is not there on a GPU.
std::unique_ptr<session_engine> make_cuda_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o,
                                                 trace_recorder* recorder);

// Throws usage_error unless make_cuda_engine can find a GPU.
void require_cuda();

}  // namespace programs
