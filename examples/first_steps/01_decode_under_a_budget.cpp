// A prompt and a hundred tokens through a cache of 512 slots a head: how an engine calls the library.
#include <cmath>
#include <cstdio>
#include <vector>

#include <kvsift/kvsift.hpp>
namespace ks = kvsift;

// What stands for a model: queries, keys and values that change from token to token.
std::vector<float> numbers(unsigned tokens, unsigned width, float speed) {
  std::vector<float> all(tokens * width);
  for (unsigned i = 0; i < all.size(); ++i) all[i] = std::sin(speed * static_cast<float>(i));
  return all;
}

int main() {
  unsigned const prompt_tokens = 600;
  int more = 100;
  auto const q = numbers(prompt_tokens, 8 * 64, 0.37f), k = numbers(prompt_tokens, 2 * 64, 0.73f), v = numbers(prompt_tokens, 2 * 64, 0.11f);
  std::vector<float> attended(q.size());
  float const *const queries = q.data(), *const keys = k.data(), *const values = v.data();
  float* const out = attended.data();

  constexpr auto policy = ks::roco(/*budget*/ 512, /*excluded*/ 144);  // or one of your own

  ks::cache_shape const shape{.layers = 2, .kv_heads = 2, .group = 4, .head_dim = 64};
  ks::kv_tensor cache{shape, policy, {.max_piece = 4096}};  // all memory is taken here
  ks::serial_executor on;                                   // or ks::parallel_executor{threads}

  // float const *queries, *keys, *values; float* out: [tokens][heads][head_dim], a layer at a time
  for (unsigned layer = 0; layer < shape.layers; ++layer)  // the prompt, in one piece: cut to the budget
    ks::step(on, cache[layer], {queries, keys, values, prompt_tokens}, out);

  while (more-- > 0) {  // then token by token
    for (unsigned layer = 0; layer < shape.layers; ++layer)
      ks::step(on, cache[layer], {queries, keys, values, 1}, out);  // append, attend, observe
    ks::evict(on, cache);  // every layer at once; victims free their slots
  }

  for (unsigned row = 0; row < shape.rows(); ++row) {
    auto const state = *cache.view().row(row).state;
    std::printf("layer %u, KV head %u: %u tokens seen, %u held\n", row / shape.kv_heads, row % shape.kv_heads, state.next, state.held);
  }
  std::printf("K and V take %zu bytes, what the policy remembers of them %zu\n", cache.bytes().vectors, cache.bytes().columns);
}
