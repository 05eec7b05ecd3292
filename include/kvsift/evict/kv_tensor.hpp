#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/evict/staging.hpp>
#include <kvsift/payload/plain.hpp>
#include <kvsift/policy/policy.hpp>
#include <kvsift/position/rules.hpp>

namespace kvsift {

/// What a plan is told besides shape and policy.
struct cache_options {
  std::uint32_t capacity = 0;      ///< slots of a head without a limit (policy `full`); ignored by the others
  std::uint32_t max_piece = 1;     ///< the longest piece of tokens that step is given
  layout order = layout::slots;
  std::uint32_t group_threads = 1; ///< the most threads of a group that runs a block (1 on the CPU's executors)
};

/// A KV cache with the columns of its policy: owner of the memory, and of the workspace of the verbs.
/// Everything is allocated here; the verbs allocate nothing. Not copyable.
template <class Policy, class Payload = fp32_payload, class Position = original_positions>
class kv_tensor {
 public:
  using columns = decltype(std::declval<Policy const&>().columns());
  using payload = Payload;
  using view_type = cache_view<Payload, columns>;

  /// Throws bad_argument, before anything is allocated, for a shape, policy or option that cannot be served.
  kv_tensor(cache_shape const& shape, Policy const& policy, cache_options const& options = {}, Position position = {})
      : policy_(policy), options_(options), position_(position) {
    check(shape);
    require(options.max_piece >= 1, "max_piece", options.max_piece, "give the longest piece of tokens, at least 1");
    require(options.group_threads >= 1 && options.group_threads <= 1024, "group_threads", options.group_threads, "give 1 to 1024");
    std::uint32_t const capacity = plan_capacity(shape);
    std::size_t const slots = options.max_piece > capacity ? options.max_piece : capacity;
    std::size_t total = 0;
    auto const stored = policy_.columns();
    lay_out<Payload>(nullptr, shape, stored, capacity, Position::ranked, options.order, bytes_, total);
    memory_ = host_memory(total);
    view_ = lay_out<Payload>(memory_.data(), shape, stored, capacity, Position::ranked, options.order, bytes_, total);
    table_ = position_.table(shape, static_cast<std::uint32_t>(slots));
    lay_out_workspace(slots);
    limits_.resize(shape.rows());
    for (std::uint32_t r = 0; r < shape.rows(); ++r)
      limits_[r] = policy_.budget.limit(shape, r / shape.layer_rows(), r % shape.kv_heads);
    held_.resize(shape.layers);
    clear();
  }

  /// Forgets every token. No memory is taken or returned.
  void clear() {
    for (std::uint32_t r = 0; r < shape().rows(); ++r) view_.states[r] = {0, 0, 0, limits_[r]};
    for (std::uint32_t& h : held_) h = 0;
  }

  cache_shape const& shape() const { return view_.shape; }
  Policy const& policy() const { return policy_; }
  std::uint32_t capacity() const { return view_.capacity; }
  cache_options const& options() const { return options_; }
  static constexpr kvsift::keys_are keys_are() { return Position::keys; }
  /// The planes, to read or to hand to a task.
  view_type const& view() const { return view_; }
  cache_bytes const& bytes() const { return bytes_; }
  std::size_t workspace_bytes() const { return workspace_.size(); }

  /// One layer of the cache: what append, attend and step work on.
  struct layer_ref {
    kv_tensor& cache;
    std::uint32_t layer;
  };
  layer_ref layer(std::uint32_t l) { return {*this, l}; }
  layer_ref operator[](std::uint32_t l) { return {*this, l}; }

  /// Used by the verbs.
  struct internals {
    rotary_view rotary;
    std::byte* blocks;       ///< [layer rows, block_bytes]
    std::size_t block_bytes;
    std::size_t slots;       ///< that one block's scratch is made for
    float* sums;             ///< [layers x sequences, 2, slots]
    std::uint32_t* words;    ///< [rows, 2 x group_threads]
    cache_view<no_payload, columns> staging;
    std::uint32_t* held;     ///< [layers], the most slots a row of the layer holds
  };
  internals work() { return {table_.view(), blocks_, block_bytes_, slots_, sums_, words_, staging_, held_.data()}; }

 private:
  std::uint32_t plan_capacity(cache_shape const& shape) const {
    policy_facts const facts = policy_.facts();
    std::uint32_t largest = 0;
    bool bounded = true;
    for (std::uint32_t l = 0; l < shape.layers; ++l)
      for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
        std::uint32_t const limit = policy_.budget.limit(shape, l, h);
        require(limit >= 1, "budget", limit, "give every head at least one slot");
        if (limit == 0xffffffffu) {
          bounded = false;
          continue;
        }
        require(facts.most_guarded <= limit, "budget", limit,
                "sinks + recent + excluded + pinned leave no slot that may go; raise the budget or protect less");
        if (limit > largest) largest = limit;
      }
    if (!bounded || facts.moments == moment{}) {
      require(options_.capacity >= 1, "capacity", options_.capacity, "a policy without a limit needs the slots to allocate per head");
      return options_.capacity;
    }
    require(largest < 0x7fffffffu, "budget", largest, "give less than 2^31 slots");
    return largest + (includes(facts.moments, moment::after_attention) ? 1 : 0);
  }

  void lay_out_workspace(std::size_t slots) {
    cache_shape const& s = view_.shape;
    slots_ = slots;
    block_bytes_ = row_scratch::carve(nullptr, s, slots, options_.group_threads, options_.max_piece).bytes;
    std::size_t const blocks = block_bytes_ * s.layer_rows();
    std::size_t const sums = std::size_t{s.layers} * s.sequences * 2 * slots * sizeof(float);
    std::size_t const words = std::size_t{s.rows()} * 2 * options_.group_threads * sizeof(std::uint32_t);
    cache_shape one_layer = s;
    one_layer.layers = 1;
    bool const stages = options_.max_piece > 1;
    std::uint32_t const staged = stages ? static_cast<std::uint32_t>(slots) : 0;
    cache_bytes unused;
    std::size_t staging = 0;
    lay_out<no_payload>(nullptr, one_layer, view_.stored, staged, false, layout::dense, unused, staging);
    workspace_ = host_memory(blocks + sums + words + staging + 256);
    blocks_ = workspace_.data();
    staging_ = lay_out<no_payload>(blocks_ + blocks, one_layer, view_.stored, staged, false, layout::dense, unused, staging);
    sums_ = reinterpret_cast<float*>(blocks_ + blocks + staging);
    words_ = reinterpret_cast<std::uint32_t*>(blocks_ + blocks + staging + sums);
  }

  Policy policy_;
  cache_options options_;
  Position position_;
  view_type view_;
  cache_bytes bytes_;
  host_memory memory_;
  host_memory workspace_;
  rotary_table table_;
  std::byte* blocks_ = nullptr;
  std::size_t block_bytes_ = 0;
  std::size_t slots_ = 0;
  float* sums_ = nullptr;
  std::uint32_t* words_ = nullptr;
  cache_view<no_payload, columns> staging_;
  std::vector<std::uint32_t> limits_;
  std::vector<std::uint32_t> held_;
};

}  // namespace kvsift
