#include <laws/engine.hpp>

namespace laws {

std::unique_ptr<engine> make_half_engine(kvsift::cache_shape const& shape, kvsift::any_policy const& policy,
                                         kvsift::cache_options const& options, storage kept) {
  switch (kept) {
    case storage::fp16: return engine_for<kvsift::serial_executor, kvsift::fp16_payload>(shape, policy, options);
    case storage::bf16: return engine_for<kvsift::serial_executor, kvsift::bf16_payload>(shape, policy, options);
    default: return engine_for<kvsift::serial_executor, kvsift::fp8_payload>(shape, policy, options);
  }
}

}  // namespace laws
