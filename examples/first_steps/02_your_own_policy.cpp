// A policy of your own in ten lines, and what it keeps of 600 tokens.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include <kvsift/kvsift.hpp>

struct settled_attention {  // between the sum and the mean
  static constexpr auto columns() { return kvsift::column_set<kvsift::attention_sum>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return row.template get<kvsift::attention_sum>()[slot] / std::sqrt(row.float_visits(slot));
  }
  friend constexpr bool operator==(settled_attention const&, settled_attention const&) = default;
};
constexpr kvsift::policy mine{kvsift::uniform_budget{256},
                              kvsift::over_budget(settled_attention{}, kvsift::protect{.sinks = 4, .newest = 16})};

int main() {
  kvsift::kv_tensor cache{kvsift::cache_shape{.head_dim = 2}, mine};
  kvsift::serial_executor const on;

  // Every query asks for the first component, and every tenth key has much of it.
  float const query[2] = {1, 0}, value[2] = {0, 0}, sought[2] = {6, 0}, other[2] = {0, 1};
  float out[2];
  for (unsigned token = 0; token < 600; ++token) {
    kvsift::step(on, cache[0], {query, token % 10 == 0 ? sought : other, value, 1}, out);
    kvsift::evict(on, cache);
  }

  auto const row = cache.view().row(0);
  std::uint32_t const *const begin = row.positions.data(), *const end = begin + row.state->held;
  auto const count = [&](auto which) { return static_cast<int>(std::count_if(begin, end, which)); };
  std::printf("held: %d of 600 tokens\n", count([](unsigned) { return true; }));
  std::printf("sinks (4): %d\n", count([](unsigned p) { return p < 4; }));
  std::printf("newest (16): %d\n", count([](unsigned p) { return p >= 584; }));
  std::printf("sought (60): %d\n", count([](unsigned p) { return p % 10 == 0; }));
  return 0;
}
