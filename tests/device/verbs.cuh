#pragma once

#include <device/verbs.hpp>
#include <kvsift/cuda/executor.cuh>

namespace device {

// In device code, too, the compiler has to see that a part is chosen at run time: else it asks the part, and not what that holds.
static_assert(kvsift::chosen_at_run_time<kvsift::any_score> && kvsift::chosen_at_run_time<kvsift::any_scope>);
static_assert(kvsift::may_be_measured<kvsift::any_budget>);

inline kvsift::cuda_executor executor(where on) { return kvsift::cuda_executor(on.stream, on.threads); }

template <class Cache>
void verbs<Cache>::step(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& piece, float* out) {
  kvsift::step(executor(on), cache[layer], piece, out);
}
template <class Cache>
void verbs<Cache>::evict(where on, Cache& cache) {
  kvsift::evict(executor(on), cache);
}
template <class Cache>
void verbs<Cache>::evict_layer(where on, Cache& cache, std::uint32_t layer) {
  kvsift::evict(executor(on), cache[layer]);
}
template <class Cache>
void verbs<Cache>::make_room(where on, Cache& cache, std::uint32_t tokens) {
  kvsift::make_room(executor(on), cache, tokens);
}
template <class Cache>
void verbs<Cache>::append(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& token) {
  kvsift::append(executor(on), cache[layer], token.keys, token.values, token.queries, token.kinds);
}
template <class Cache>
void verbs<Cache>::attend(where on, Cache& cache, std::uint32_t layer, float const* queries, float* out) {
  kvsift::attend(executor(on), cache[layer], queries, out);
}
template <class Cache>
void verbs<Cache>::observe(where on, Cache& cache, std::uint32_t layer, float const* masses, std::size_t pitch) {
  kvsift::observe(executor(on), cache[layer], masses, pitch);
}
template <class Cache>
void verbs<Cache>::compress(where on, Cache& cache, std::uint32_t layer, kvsift::arrivals const& prompt, kvsift::prompt_masses const& masses) {
  kvsift::compress(executor(on), cache[layer], prompt.keys, prompt.values, prompt.tokens, masses, prompt.kinds);
}
template <class Cache>
void verbs<Cache>::compress_one(where on, Cache& cache, std::uint32_t sequence, std::uint32_t layer, kvsift::arrivals const& prompt,
                                kvsift::prompt_masses const& masses) {
  kvsift::compress(executor(on), cache.sequence(sequence)[layer], prompt.keys, prompt.values, prompt.tokens, masses, prompt.kinds);
}
template <class Cache>
void verbs<Cache>::clear_one(where on, Cache& cache, std::uint32_t sequence) {
  kvsift::clear(executor(on), cache.sequence(sequence));
}
template <class Cache>
void verbs<Cache>::set_paused(where on, Cache& cache, std::uint32_t sequence, bool paused) {
  auto const one = cache.sequence(sequence);
  if (paused) kvsift::pause(executor(on), one);
  else kvsift::resume(executor(on), one);
}

}  // namespace device
