// From a case to the type that was compiled for it; instances.cmake lists the same.
#include <kvsift/cache/placement.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/payload/plain.hpp>

#include <bench/device/running.hpp>

namespace bench {

namespace {

template <policy_kind... Kinds>
struct kinds {};

template <class Payload, class Placement, policy_kind... Kinds>
std::unique_ptr<running> of_kind(kinds<Kinds...>, cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool) {
  std::unique_ptr<running> made;
  (void)((c.policy == Kinds && (made = make_running<Kinds, Payload, Placement>(stream, c, shape, pool), true)) || ...);
  return made;
}

using enum policy_kind;
using every = kinds<none, accumulated_attention, roco, heavy_hitter, tova, key_norm, lsh_64, streaming_llm, ragged>;
using usual = kinds<none, roco, heavy_hitter, tova>;
using least = kinds<none, roco>;

}  // namespace

std::unique_ptr<running> make_running(cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool) {
  using namespace kvsift;
  std::unique_ptr<running> made;
  if (c.placed == placement::rows) {
    if (c.stored == storage::bf16) made = of_kind<bf16_payload, in_rows>(every{}, stream, c, shape, pool);
    if (c.stored == storage::fp16) made = of_kind<fp16_payload, in_rows>(usual{}, stream, c, shape, pool);
    if (c.stored == storage::fp8) made = of_kind<fp8_payload, in_rows>(least{}, stream, c, shape, pool);
    if (c.stored == storage::fp32) made = of_kind<fp32_payload, in_rows>(least{}, stream, c, shape, pool);
  } else {
    if (c.stored == storage::bf16) made = of_kind<bf16_payload, in_pages>(least{}, stream, c, shape, pool);
    if (c.stored == storage::fp16) made = of_kind<fp16_payload, in_pages>(least{}, stream, c, shape, pool);
    if (c.stored == storage::fp8) made = of_kind<fp8_payload, in_pages>(least{}, stream, c, shape, pool);
    if (c.stored == storage::fp32) made = of_kind<fp32_payload, in_pages>(least{}, stream, c, shape, pool);
  }
  if (!made) throw bad_argument("the case " + c.name() + " was not compiled; add it to bench/device/CMakeLists.txt and choose.cpp");
  return made;
}

}  // namespace bench
