#include <common/session_cache_of.hpp>

namespace programs {

template std::unique_ptr<host_session_cache> make_session_cache_in<kvsift::in_pages>(reference_model::config const&, policy_choice const&,
                                                                               session_options const&);

}  // namespace programs
