#include <common/session_engine.hpp>

namespace programs {

template std::unique_ptr<session::engine> make_engine<kvsift::int8_payload>(reference_model::model const&, policy_choice const&,
                                                                           session_options const&, trace_recorder*);
template std::unique_ptr<session::engine> make_engine<kvsift::int4_payload>(reference_model::model const&, policy_choice const&,
                                                                           session_options const&, trace_recorder*);
template std::unique_ptr<session::engine> make_engine<kvsift::int2_payload>(reference_model::model const&, policy_choice const&,
                                                                           session_options const&, trace_recorder*);

}  // namespace programs
