#include <common/session_engine.hpp>

namespace programs {

template std::unique_ptr<session::engine> make_engine<kvsift::fp16_payload>(reference_model::model const&, policy_choice const&,
                                                                           session_options const&, trace_recorder*);
template std::unique_ptr<session::engine> make_engine<kvsift::bf16_payload>(reference_model::model const&, policy_choice const&,
                                                                           session_options const&, trace_recorder*);

}  // namespace programs
