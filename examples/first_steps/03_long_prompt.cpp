// A prompt longer than the budget is cut in one go; then an engine with an attention of its own tells what it saw.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <kvsift/kvsift.hpp>
namespace ks = kvsift;

template <class Cache>
std::vector<std::uint32_t> held(Cache const& cache) {
  auto const row = cache.view().row(0);
  std::vector<std::uint32_t> positions(row.positions.data(), row.positions + row.state->held);
  std::sort(positions.begin(), positions.end());
  return positions;
}

void print(char const* what, std::vector<std::uint32_t> const& positions) {
  std::printf("%s:", what);
  for (std::uint32_t const p : positions) std::printf(" %u", p);
  std::printf("\n");
}

int main() {
  constexpr unsigned prompt_tokens = 40;
  constexpr auto policy = ks::accumulated_attention_policy(/*budget*/ 12, /*recent*/ 4);
  ks::kv_tensor cache{ks::cache_shape{.head_dim = 2}, policy, {.max_piece = prompt_tokens}};
  ks::serial_executor const on;

  // All queries ask for the first component; the keys at 5, 17 and 29 have much of it.
  std::vector<float> queries, keys, values(2 * prompt_tokens), out(2 * prompt_tokens);
  for (unsigned token = 0; token < prompt_tokens; ++token) {
    float const much = token == 5 || token == 17 || token == 29 ? 6.0f : 0.0f;
    queries.insert(queries.end(), {1, 0});
    keys.insert(keys.end(), {much, 1});
  }
  ks::step(on, cache[0], {queries.data(), keys.data(), values.data(), prompt_tokens}, out.data());
  print("after the prompt of 40", held(cache));

  // Decode: the cache is told the attention of each newest token. Here it falls on the token at 17 and on itself.
  for (int step = 0; step < 6; ++step) {
    ks::append(on, cache[0], keys.data(), values.data());
    auto const row = cache.view().row(0);
    std::vector<float> mass(row.state->held);
    for (std::uint32_t slot = 0; slot < row.state->held; ++slot)
      mass[slot] = row.positions[slot] == 17 || row.positions[slot] + 1 == row.state->next ? 0.5f : 0.0f;
    ks::observe(on, cache[0], mass.data(), mass.size());
    ks::evict(on, cache);
  }
  print("after 6 tokens more   ", held(cache));
}
