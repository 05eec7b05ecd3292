// Sessions on a GPU, in a build without CUDA: there are none. examples/cuda has those of a build with it.
#include <common/errors.hpp>
#include <common/session_engine.hpp>

namespace programs {

void require_cuda() {
  throw usage_error("--executor is cuda; this build has no CUDA: configure with -DKVSIFT_CUDA=ON, or give serial, parallel or parallel:N");
}

std::unique_ptr<session_engine> make_cuda_engine(reference_model::model const&, policy_choice const&, session_options const&, trace_recorder*) {
  require_cuda();
  return nullptr;
}

}  // namespace programs
