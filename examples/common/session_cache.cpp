#include <common/session_cache_of.hpp>

namespace programs {

std::unique_ptr<host_session_cache> make_session_cache(reference_model::config const& c, policy_choice const& choice, session_options const& o) {
  return o.in_pages ? make_session_cache_in<kvsift::in_pages>(c, choice, o) : make_session_cache_in<kvsift::in_rows>(c, choice, o);
}

}  // namespace programs
