#include <laws/engine.hpp>

namespace laws {

std::unique_ptr<engine> make_paged_ranked_engine(kvsift::cache_shape const& shape, kvsift::any_policy const& policy,
                                                 kvsift::cache_options const& options,
                                                 kvsift::in_cache_positions const& position) {
  return engine_for<kvsift::serial_executor, kvsift::fp32_payload, kvsift::in_cache_positions, kvsift::in_pages>(
      shape, policy, options, position);
}

}  // namespace laws
