// What runs on a GPU, in a build without CUDA: nothing. examples/cuda has those of a build with it.
#include <common/errors.hpp>
#include <common/replay_cache.hpp>
#include <common/session_engine.hpp>

namespace programs {

void require_cuda() {
  throw usage_error("--executor is cuda; this build has no CUDA: configure with -DKVSIFT_CUDA=ON, or give serial, parallel or parallel:N");
}

std::unique_ptr<session_engine> make_cuda_engine(reference_model::model const&, policy_choice const&, session_options const&, trace_recorder*) {
  require_cuda();
  return nullptr;
}

std::unique_ptr<replay_cache> make_cuda_replay(trace const&, policy_of_draws const&, std::uint32_t) {
  require_cuda();
  return nullptr;
}

}  // namespace programs
