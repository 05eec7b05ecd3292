// Other ways to store vectors, positions, victims and pages.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(roco(64, 9)), bf16_payload, original_positions, dropped, in_pages>,
                      cache<decltype(streaming_llm(4, 60)), int8_payload, in_cache_positions>,
                      cache<decltype(roco(64, 9)), fp16_payload, in_cache_positions, copied_out>,
                      cache<decltype(roco(64, 9)), fp8_payload>>;

}  // namespace instantiate

/// Tokens that went one by one: survivors are realigned.
template void kvsift::evict(kvsift::cuda_executor const&,
                            instantiate::cache<decltype(kvsift::streaming_llm(4, 60)), kvsift::fp32_payload, kvsift::learned_align>&);

/// A window of queries, for engines with an attention of their own.
template void kvsift::attention_mass(kvsift::cuda_executor const&, kvsift::cache_shape const&, kvsift::observation_window const&, float*,
                                     std::size_t, std::byte*, std::size_t, std::uint32_t);
