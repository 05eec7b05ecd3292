#include <laws/engine.hpp>

namespace laws {

std::unique_ptr<engine> make_engine(kvsift::cache_shape const& shape, kvsift::any_policy const& policy,
                                    kvsift::cache_options const& options, storage kept) {
  return kept == storage::fp32 ? engine_for<support::any_executor>(shape, policy, options) : make_half_engine(shape, policy, options, kept);
}

}  // namespace laws
