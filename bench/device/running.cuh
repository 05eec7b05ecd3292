#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include <bench/device/running.hpp>
#include <kvsift/budget/heads.hpp>
#include <kvsift/cuda/executor.cuh>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/kvsift.hpp>

namespace bench {

/// The policy of a case, at the sizes that the papers use.
template <policy_kind Kind>
auto policy_of(decode_case const& c, kvsift::cache_shape const& shape) {
  std::uint32_t const budget = c.held, third = budget * 3 / 10;
  if constexpr (Kind == policy_kind::none) return kvsift::full();
  else if constexpr (Kind == policy_kind::accumulated_attention) return kvsift::accumulated_attention_policy(budget, third);
  else if constexpr (Kind == policy_kind::roco) return kvsift::roco(budget, third - 9);
  else if constexpr (Kind == policy_kind::heavy_hitter) return kvsift::heavy_hitter(budget, 4, 10);
  else if constexpr (Kind == policy_kind::tova) return kvsift::tova(budget);
  else if constexpr (Kind == policy_kind::key_norm) return kvsift::key_norm(budget, 4, 10);
  else if constexpr (Kind == policy_kind::lsh_64) return kvsift::lsh(budget, 4, 10, kvsift::signature{64});
  else if constexpr (Kind == policy_kind::streaming_llm) return kvsift::streaming_llm(4, budget - 4);
  else {  // heads of half to one and a half times the mean
    std::vector<std::uint32_t> slots;
    std::uint32_t const steps = shape.kv_heads > 1 ? shape.kv_heads - 1 : 1;
    for (std::uint32_t l = 0; l < shape.layers; ++l)
      for (std::uint32_t h = 0; h < shape.kv_heads; ++h) slots.push_back(budget / 2 + budget / steps * h);
    return kvsift::policy{kvsift::head_budgets{slots}, kvsift::making_room(kvsift::oldest_first{}, kvsift::protect{4, 4})};
  }
}

/// Steps: whether steps are measured. Their kernels, those of prompts among them, are most of what there is to compile.
template <class Cache, bool Steps>
class running_of final : public running {
 public:
  running_of(cudaStream_t stream, Cache cache) : on_(stream, block_threads), cache_(std::move(cache)) {}

  void step(std::uint32_t layer, kvsift::arrivals const& token, float* out) override {
    if constexpr (Steps) kvsift::step(on_, cache_[layer], token, out);
    else throw kvsift::bad_argument("steps of this policy were not compiled; take append, attend or evict");
  }
  void attend(std::uint32_t layer, float const* queries, float* out) override { kvsift::attend(on_, cache_[layer], queries, out); }
  void append(std::uint32_t layer, kvsift::arrivals const& token) override {
    kvsift::append(on_, cache_[layer], token.keys, token.values, token.queries);
  }
  void evict() override { kvsift::evict(on_, cache_); }
  void make_room(std::uint32_t tokens) override { kvsift::make_room(on_, cache_, tokens); }
  void replayed() override { cache_.count_replayed(); }
  void const* vectors() const override { return cache_.view().keys; }
  std::size_t vector_bytes() const override { return cache_.view().vector_bytes; }
  std::size_t allocated() const override { return cache_.allocated_bytes() + cache_.workspace_bytes(); }

  void fill(std::uint32_t tokens, token_pool& pool) {
    for (std::uint32_t t = 0; t < tokens; ++t)
      for (std::uint32_t l = 0; l < cache_.shape().layers; ++l) append(l, pool.token(cache_.shape()));
    if constexpr (Cache::columns::feeds_on_attention) {
      std::size_t const pitch = cache_.most_held(0), size = cache_.shape().layer_rows() * pitch;
      device_floats const masses(on_.stream(), size + 4096, 0, 2 / static_cast<float>(tokens));
      for (std::uint32_t l = 0; l < cache_.shape().layers; ++l)
        for (std::uint32_t time = 0; time < 3; ++time) kvsift::observe(on_, cache_[l], masses.data() + (l * 3 + time) * 13 % 4096, pitch);
    }
    check(cudaStreamSynchronize(on_.stream()), "cudaStreamSynchronize of a cache that was filled");
  }

 private:
  kvsift::cuda_executor on_;
  Cache cache_;
};

template <policy_kind Kind, class Payload, class Placement>
std::unique_ptr<running> make_running(cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool) {
  using position = std::conditional_t<Kind == policy_kind::streaming_llm, kvsift::two_query_positions, kvsift::original_positions>;
  auto const policy = policy_of<Kind>(c, shape);
  using cache_type = kvsift::kv_tensor<std::remove_cvref_t<decltype(policy)>, Payload, position, kvsift::dropped, Placement, kvsift::cuda::memory<>>;
  kvsift::cache_options const options{.capacity = c.held + most_passes, .group_threads = block_threads};
  constexpr bool steps = Kind != policy_kind::key_norm && Kind != policy_kind::lsh_64 && Kind != policy_kind::ragged;
  auto made = std::make_unique<running_of<cache_type, steps>>(
      stream, cache_type(shape, policy, options, position{}, kvsift::dropped{}, Placement{}, kvsift::cuda::memory<>(stream)));
  made->fill(Kind == policy_kind::ragged ? c.held + c.held / 2 : c.held, pool);
  return made;
}

}  // namespace bench
