// How a vector is stored, and where: every payload in rows and in pages, under the columns of roco. Attention and what writes a prompt's
// survivors have kernels for each; the rest has them once.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template <class Payload, class Placement>
void stored_so(cuda_executor const& on, float const* in, float* out) {
  using cache_type = cache<decltype(roco(64, 9)), Payload, original_positions, dropped, Placement>;
  auto* const all = static_cast<cache_type*>(nullptr);  // never called: compiled
  attend(on, (*all)[0], in, out);
  compress(on, (*all)[0], in, in, 2, {in, in, in, in, 16});
}
template <class... Payloads>
void stored_in_both(cuda_executor const& on, float const* in, float* out) {
  (stored_so<Payloads, in_rows>(on, in, out), ...);
  (stored_so<Payloads, in_pages>(on, in, out), ...);
}
template void stored_in_both<fp32_payload, fp16_payload, bf16_payload, fp8_payload, int8_payload, int4_payload, int2_payload>(
    cuda_executor const&, float const*, float*);

}  // namespace instantiate
