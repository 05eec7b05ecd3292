// An engine's host code in a CUDA source: every verb over typed and run-time policies, compiled by nvcc without a warning.
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace {

using namespace kvsift;

template <class Cache>
void use(Cache& cache) {
  serial_executor const on;
  float key[16] = {}, out[16];
  compress(on, cache[0], key, key, 2, {key, key, key, key, 16});
  append(on, cache[0], key, key);
  attend(on, cache[0], key, out);
  observe(on, cache[0], key, 16);
  step(parallel_executor(2), cache[0], {key, key, key, 1}, out);
  evict(on, cache);
}

}  // namespace

void host_use() {
  cache_shape const shape{1, 1, 1, 8, 1};
  cache_options const options{8, 2};
  kv_tensor by_name{shape, make_policy(with_defaults(policy_fields("roco"), 64)).value, options};
  use(by_name);
  constexpr auto p = roco(64, 9);
  kv_tensor archived{shape, p, options, bf16_payload{}, in_cache_positions{}, copied_out{}};
  use(archived);
  kv_tensor typed{shape, heavy_hitter(64, 4, 10, 8, true), options};
  use(typed);
  kv_tensor competing{shape, ada_snapkv(64, 8), options};
  use(competing);
  observation_window const window{nullptr, nullptr, 8, 4, group_reduction::max};
  attention_mass(serial_executor{}, shape, window, nullptr, 8, nullptr, attention_mass_bytes(shape, window));
  kv_tensor by_head{shape, policy{head_budgets{headkv_slots(shape, {1.0}, {64, 8})}, over_budget(mean_attention{}, protect{})}, options};
  use(by_head);
  kv_tensor in_pieces{shape, reference_strided(64, 8, mean_attention{}, protect{}, forced_then_varying{20}), options};
  use(in_pieces);
  recipe_list recipes;
  recipes.add({3, 0.1, 0.3}).add({0, 0, 0, true});
  kv_tensor chosen{shape, hybrid(recipes), options};
  use(chosen);
  kv_tensor different{shape, keydiff(64), options};
  use(different);
  kv_tensor expecting{shape, expected_attention(64), options};
  use(expecting);
  kv_tensor sampled{shape, reservoir(4, 60), options};
  use(sampled);
  make_room(serial_executor{}, sampled, 3);
  kv_tensor shared{shape, tova(64, true), options};
  use(shared);
  kv_tensor<decltype(streaming_llm(4, 60)), fp32_payload, learned_align> aligned{shape, streaming_llm(4, 60), options, learned_align{}};
  use(aligned);
  kv_tensor paged{shape, heavy_hitter(64, 4, 10, 8, true), options, in_cache_positions{}, dropped{}, in_pages{}};
  use(paged);
  kv_tensor small{shape, p, options, copied_out{}, in_cache_positions{}, int4_payload{}};
  use(small);
  restore(paged, image_of(paged));
}
