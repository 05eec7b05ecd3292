#pragma once
// A session's cache in device memory.
#include <memory>

#include <common/session_cache.hpp>
#include <reference_model/cuda/cuda_transformer.hpp>

namespace programs {

class cuda_session_cache : public session_cache, public reference_model::stream_cache {
 public:
  virtual void make_room(reference_model::on_stream on, std::uint32_t tokens) = 0;
};

// One that stores vectors as Payload does, compiled by nvcc: a source for each of both. Throws usage_error or bad_argument.
template <class Payload, class Placement>
std::unique_ptr<cuda_session_cache> make_cuda_session_cache(reference_model::on_stream on, reference_model::config const& c, policy_choice const& choice,
                                                            session_options const& o);

}  // namespace programs
