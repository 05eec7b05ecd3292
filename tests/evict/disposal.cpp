// What a disposal is shown: every victim once, with its own key and value, before its slot is used again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/policy/catalogue.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;

/// Component d of the key of head h at `position`; small whole numbers, exact in every storage but fp8.
float component(std::uint32_t position, std::uint32_t h, std::uint32_t d) { return static_cast<float>(position + 2 * h + d % 3); }

/// What a vector of this storage holds for x.
template <class Payload>
float as_stored(float x) {
  std::byte vector[sizeof(float)];
  Payload::store(serial_group{}, vector, &x, 1);
  return Payload::load(vector, std::size_t{0});
}

struct archive {
  std::uint32_t capacity;
  std::vector<float> keys, values;
  std::vector<std::uint32_t> positions, counts;

  archive(cache_shape const& shape, std::uint32_t slots)
      : capacity(slots), keys(std::size_t{shape.rows()} * slots * shape.head_dim), values(keys.size()),
        positions(std::size_t{shape.rows()} * slots), counts(shape.rows()) {}
  copied_out view() { return {capacity, keys.data(), values.data(), positions.data(), counts.data()}; }
};

template <class Payload, class Executor>
void check_victims(Executor const& on, std::uint32_t threads, char const* name, std::uint32_t prompt, std::uint32_t tokens,
                   bool shared = false) {
  cache_shape const shape{2, 2, 1, 5, 1};
  archive gone(shape, tokens);
  policy_fields fields(name);
  if (shared) fields.set("shared", true);
  any_policy const p = make_policy(with_defaults(fields, 20)).value;
  kv_tensor<any_policy, Payload, original_positions, copied_out> cache{
      shape, p, {.capacity = tokens, .max_piece = prompt, .group_threads = threads}, gone.view()};
  std::vector<float> keys, values, queries, out(std::size_t{prompt} * 10);
  for (std::uint32_t first = 0; first < tokens;) {
    std::uint32_t const n = first == 0 ? prompt : 1;
    keys.clear(), values.clear(), queries.clear();
    for (std::uint32_t t = first; t < first + n; ++t)
      for (std::uint32_t h = 0; h < 2; ++h)
        for (std::uint32_t d = 0; d < 5; ++d) {
          keys.push_back(component(t, h, d));
          values.push_back(-component(t, h, d));
          queries.push_back(static_cast<float>((t + d) % 2) * 0.01f);
        }
    for (std::uint32_t l = 0; l < 2; ++l) step(on, cache[l], {queries.data(), keys.data(), values.data(), n}, out.data());
    evict(on, cache);
    first += n;
  }
  for (std::uint32_t r = 0; r < shape.rows(); ++r) {
    auto const row = cache.view().row(r);
    std::multiset<std::uint32_t> all(row.positions.data(), row.positions + row.state->held);
    for (std::uint32_t i = 0; i < gone.counts[r]; ++i) {
      std::size_t const place = std::size_t{r} * tokens + i;
      // Of a prompt that is cut to 20, the caller's own arrays are shown; in decode what was stored.
      auto const shown = [&](float x) { return i + 20 < prompt ? x : as_stored<Payload>(x); };
      all.insert(gone.positions[place]);
      for (std::uint32_t d = 0; d < 5; ++d) {
        CHECK(gone.keys[place * 5 + d] == shown(component(gone.positions[place], row.head, d)));
        CHECK(gone.values[place * 5 + d] == shown(-component(gone.positions[place], row.head, d)));
      }
    }
    CHECK(gone.counts[r] + row.state->held == tokens);
    CHECK(std::set<std::uint32_t>(all.begin(), all.end()).size() == tokens);  // each token is held or gone, never both
  }
}

TEST_CASE("every token is held or was copied out once, with its own key and value") {
  for (char const* name : {"streaming_llm", "roco", "tova", "key_norm", "heavy_hitter"})
    for (std::uint32_t prompt : {1u, 15u, 45u}) {
      INFO(name << ", prompt " << prompt);
      check_victims<fp32_payload>(serial_executor{}, 1, name, prompt, 70);
      check_victims<bf16_payload>(serial_executor{}, 1, name, prompt, 70);
    }
  for (std::uint32_t prompt : {1u, 45u}) check_victims<fp16_payload>(serial_executor{}, 1, "tova", prompt, 70, true);
  for (std::uint32_t prompt : {1u, 45u}) check_victims<fp8_payload>(serial_executor{}, 1, "roco", prompt, 70);
  check_victims<fp32_payload>(support::thread_group_executor{3}, 3, "roco", 45, 50);
}

TEST_CASE("a full archive keeps the newest victims") {
  cache_shape const shape{1, 1, 1, 1, 1};
  archive gone(shape, 3);
  kv_tensor<decltype(streaming_llm(1, 2)), fp32_payload, original_positions, copied_out> cache{shape, streaming_llm(1, 2), {}, gone.view()};
  for (std::uint32_t t = 0; t < 10; ++t) {
    float const key = static_cast<float>(t);
    append(serial_executor{}, cache[0], &key, &key);
    evict(serial_executor{}, cache);
  }
  CHECK(gone.counts[0] == 7);  // positions 1 .. 7 went; 0, 8, 9 stay
  std::vector<std::uint32_t> newest = gone.positions;
  std::sort(newest.begin(), newest.end());
  CHECK(newest == std::vector<std::uint32_t>{5, 6, 7});
}

}  // namespace
