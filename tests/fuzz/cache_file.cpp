// Input: a cache file. What is read, checksum and all, may be restored into a small cache or be refused, and then a
// step is taken.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <common/cache_file.hpp>
#include <kvsift/evict/cache_image.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/named.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  programs::saved_cache saved;
  try {
    saved = programs::read_cache("cache.safetensors", std::string(reinterpret_cast<char const*>(data), size));
  } catch (reference_model::bad_file const&) {
    return 0;
  }
  kvsift::kv_tensor cache{kvsift::cache_shape{2, 2, 2, 8, 1}, kvsift::roco(18, 0, 4), {}};
  std::vector<float> const vectors(2 * 2 * 8, 1.0f);
  std::vector<float> out(vectors.size());
  try {
    kvsift::restore(cache, saved.state.cache);
  } catch (kvsift::bad_argument const&) {
    return 0;
  }
  for (std::uint32_t layer = 0; layer < 2; ++layer)
    kvsift::step(kvsift::serial_executor{}, cache[layer], {vectors.data(), vectors.data(), vectors.data(), 1},
                 out.data());
  kvsift::evict(kvsift::serial_executor{}, cache);
  return 0;
}
