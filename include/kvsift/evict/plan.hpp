#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/cache/storage.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/policy/policy.hpp>

namespace kvsift {

/// What a plan is told besides shape and policy.
struct cache_options {
  std::uint32_t capacity = 0;   ///< slots of a head without a limit, or that only prompts are cut for; ignored by the others
  std::uint32_t max_piece = 1;  ///< the longest piece of tokens that step and compress are given
  layout order = layout::slots;
  std::uint32_t group_threads = 1;  ///< the most threads of a group that runs a block (1 on the CPU's executors)
};

/// How many slots each head may hold, and how many are allocated: arithmetic on the host, before any memory is taken.
struct slot_plan {
  std::uint32_t capacity = 0;         ///< slots allocated per head
  std::vector<std::uint32_t> limits;  ///< [layers, kv_heads]
  std::vector<std::uint32_t> least;   ///< [layers], the lowest limit of a layer's heads
  std::vector<std::uint32_t> most;    ///< [layers], the highest
  std::vector<std::uint32_t> fullest; ///< [layers], slots that a head ever holds: the newest token's among them
};

/// Throws bad_argument for a shape, policy or option that cannot be served.
template <class Policy>
slot_plan plan_slots(cache_shape const& shape, Policy const& policy, cache_options const& options) {
  check(shape);
  require(options.max_piece >= 1, "max_piece", options.max_piece, "give the longest piece of tokens, at least 1");
  require(options.group_threads >= 1 && options.group_threads <= 1024, "group_threads", options.group_threads, "give 1 to 1024");
  policy_facts const facts = policy.facts();
  if (facts.looks_too_late)
    throw bad_argument("a rule's moment is prompt_end or after_attention; its score looks at an arriving token, ask it at before_append");
  slot_plan plan;
  std::uint32_t largest = 0, largest_bounded = 0;
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    std::uint32_t least = no_limit, most = 0;
    for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
      std::uint32_t const limit = policy.budget.limit(shape, l, h);
      require(limit >= 1, "budget", limit, "give every head at least one slot");
      require(limit == no_limit || limit < 0x7fffffffu, "budget", limit, "give less than 2^31 slots");
      require(facts.least_limit <= limit, "budget", limit,
              "sinks + recent + excluded + pinned leave no slot that may go; raise the budget or protect less");
      plan.limits.push_back(limit);
      least = std::min(least, limit);
      most = std::max(most, limit);
      if (limit != no_limit) largest_bounded = std::max(largest_bounded, limit);
    }
    require(!facts.shared || least == most, "budget", least, "heads that decide together need the same one in all heads of a layer");
    plan.least.push_back(least);
    plan.most.push_back(most);
    largest = std::max(largest, most);
  }
  // After attention: the newest token attends before a victim is chosen.
  std::uint32_t const room = includes(facts.moments, moment::after_attention) ? 1 : 0;
  std::uint32_t const bounded = largest_bounded + room;
  bool const evicts = includes(facts.moments, moment::before_append | moment::after_attention);
  plan.capacity = evicts ? bounded : std::max(options.capacity, bounded);
  if (largest == no_limit || facts.moments == moment{}) {
    require(options.capacity >= 1, "capacity", options.capacity, "a policy without a limit needs the slots to allocate per head");
    plan.capacity = largest == no_limit ? std::max(options.capacity, bounded) : options.capacity;
  }
  std::uint64_t const slots = std::uint64_t{shape.rows()} * std::max(plan.capacity, options.max_piece);
  require(slots <= std::uint64_t{1} << 40, "slots of all heads", slots, "exceed 2^40; lower the budget, the longest piece or the batch");
  for (std::uint32_t const most : plan.most)
    plan.fullest.push_back(most == no_limit || !evicts ? plan.capacity : std::min(plan.capacity, most + room));
  return plan;
}

}  // namespace kvsift
