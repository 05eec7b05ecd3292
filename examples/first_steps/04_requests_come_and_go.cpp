// One cache for a batch: requests begin when a place is free, end by themselves, and leave the others as they are.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <kvsift/kvsift.hpp>
namespace ks = kvsift;

struct request {
  char const* name;
  unsigned prompt, more;  // tokens
};

int main() {
  constexpr std::uint32_t places = 2, none = 3;
  request waiting[] = {{"a", 30, 2}, {"b", 3, 6}, {"c", 12, 3}};
  constexpr auto policy = ks::streaming_llm(/*sinks*/ 4, /*recent*/ 12);
  ks::cache_shape const shape{.head_dim = 2, .sequences = places};
  ks::kv_tensor cache{shape, policy, {.max_piece = 30}};
  ks::serial_executor const on;
  ks::pause(on, cache);  // nothing is at any place yet

  std::vector<float> const numbers(30 * shape.head_dim, 1.0f);  // stands for queries, keys and values
  std::vector<float> out(30 * shape.head_dim);
  std::uint32_t at[places] = {none, none}, next = 0, ended = 0;
  for (int step = 1; ended < 3; ++step) {
    for (std::uint32_t place = 0; place < places; ++place) {
      if (at[place] != none || next == none) continue;
      at[place] = next++;
      auto const here = cache.sequence(place);  // verbs given this work on that place alone, and so do their arrays
      ks::clear(on, here);                      // forgets who was here
      ks::step(on, here[0], {numbers.data(), numbers.data(), numbers.data(), waiting[at[place]].prompt}, out.data());
      ks::resume(on, here);
    }
    ks::step(on, cache[0], {numbers.data(), numbers.data(), numbers.data(), 1}, out.data());  // a token for each that is not paused
    ks::evict(on, cache);
    std::printf("step %d:", step);
    for (std::uint32_t place = 0; place < places; ++place) {
      if (at[place] == none) continue;
      request& r = waiting[at[place]];
      std::printf("  %s holds %u of %u", r.name, cache.held(0, place), cache.seen(0, place));
      if (--r.more == 0) {
        ks::pause(on, cache.sequence(place));
        at[place] = none;
        ++ended;
      }
    }
    std::printf("\n");
  }
}
