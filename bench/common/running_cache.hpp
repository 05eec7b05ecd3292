#pragma once
// A cache in the middle of a generation: full, with columns as old as its tokens, and new tokens to feed it with.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <kvsift/column/attention.hpp>
#include <kvsift/evict/verbs.hpp>

namespace bench {

// Numbers of mean 0 and variance 1, drawn once. A vector is any run of them: no two tokens of a benchmark are alike, and
// drawing costs nothing while it is timed.
class random_vectors {
 public:
  random_vectors() : pool_(std::size_t{1} << 17) {
    std::mt19937 bits(20240607);
    std::normal_distribution<float> normal;
    for (float& x : pool_) x = normal(bits);
  }
  // The next run of n <= 2^16 numbers.
  float const* next(std::size_t n) {
    at_ = (at_ + n + 61) % (pool_.size() / 2);
    return pool_.data() + at_;
  }

 private:
  std::vector<float> pool_;
  std::size_t at_ = 0;
};

// As many layers as make `bytes` of keys and values: more than any cache of the processor, so that a step finds nothing
// of the step before.
inline std::uint32_t layers_of(std::size_t layer_bytes, std::size_t bytes = std::size_t{192} << 20) {
  return static_cast<std::uint32_t>((bytes + layer_bytes - 1) / layer_bytes);
}

template <class Policy, class Payload, class Placement = kvsift::in_rows, class Position = kvsift::original_positions>
class running_cache {
 public:
  using cache_type = kvsift::kv_tensor<Policy, Payload, Position, kvsift::dropped, Placement>;

  // Every head holds `budget` slots, one less than there is room for if the policy evicts after attention.
  running_cache(Policy const& policy, kvsift::cache_shape const& shape, std::uint32_t budget)
      : cache_(shape, policy, {.capacity = budget + 1}), out_(shape.layer_rows() * shape.group * shape.head_dim) {
    for (std::uint32_t t = 0; t < budget; ++t)
      for (std::uint32_t l = 0; l < shape.layers; ++l) append(kvsift::serial_executor{}, l);
    for (std::uint32_t r = 0; r < shape.rows(); ++r) age(cache_.view().row(r));
  }

  cache_type& cache() { return cache_; }
  kvsift::cache_shape const& shape() const { return cache_.shape(); }
  // Bytes of keys and values that attention over every layer reads.
  double vector_bytes() const {
    double slots = 0;
    for (std::uint32_t r = 0; r < shape().rows(); ++r) slots += cache_.view().states[r].held;
    return slots * 2 * static_cast<double>(Payload::bytes(shape().head_dim));
  }

  template <class Executor>
  void append(Executor const& on, std::uint32_t layer) {
    std::size_t const elements = std::size_t{shape().layer_rows()} * shape().head_dim;
    kvsift::append(on, cache_[layer], random_.next(elements), random_.next(elements));
  }
  // Attention of every layer; columns are fed if the policy has any.
  template <class Executor>
  void attend(Executor const& on) {
    for (std::uint32_t l = 0; l < shape().layers; ++l)
      kvsift::attend(on, cache_[l], random_.next(out_.size()), out_.data());
  }
  // The whole of a decode step: every layer writes its token and attends, and one slot of each of its heads goes.
  template <class Executor>
  void step(Executor const& on) {
    std::size_t const elements = std::size_t{shape().layer_rows()} * shape().head_dim;
    for (std::uint32_t l = 0; l < shape().layers; ++l) {
      kvsift::arrivals const token{random_.next(out_.size()), random_.next(elements), random_.next(elements), 1};
      kvsift::step(on, cache_[l], token, out_.data());
      kvsift::evict(on, cache_[l]);
    }
  }
  // A decode step without its attention: tokens are written, columns are fed from `masses`, one slot of every head goes.
  template <class Executor>
  void policy_step(Executor const& on, float const* masses, std::size_t pitch) {
    for (std::uint32_t l = 0; l < shape().layers; ++l) {
      append(on, l);
      if constexpr (cache_type::columns::feeds_on_attention) kvsift::observe(on, cache_[l], masses, pitch);
    }
    kvsift::evict(on, cache_);
  }

 private:
  // Sums of attention as a token of c queries has them: c times a mean of its own, and a variance of its own.
  void age(auto const& row) {
    using columns = typename cache_type::columns;
    for (std::uint32_t slot = 0; slot < row.state->held; ++slot) {
      float const visits = static_cast<float>(row.state->next - row.positions[slot]);
      float const mean = std::exp(*random_.next(1)) / static_cast<float>(row.state->held);
      if constexpr (columns::template has<kvsift::attention_sum>)
        row.template column<kvsift::attention_sum>()[slot] = visits * mean;
      if constexpr (columns::template has<kvsift::attention_square_sum>)
        row.template column<kvsift::attention_square_sum>()[slot] = visits * mean * mean * (1 + std::exp(*random_.next(1)));
    }
  }

  random_vectors random_;
  cache_type cache_;
  std::vector<float> out_;
};

}  // namespace bench
