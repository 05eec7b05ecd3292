#include <laws/engine.hpp>

namespace laws {

std::unique_ptr<engine> make_paged_engine(kvsift::cache_shape const& shape, kvsift::any_policy const& policy,
                                          kvsift::cache_options const& options) {
  return engine_for<support::any_executor, kvsift::fp32_payload, kvsift::original_positions, kvsift::in_pages>(shape, policy, options);
}

}  // namespace laws
