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
  std::uint32_t promised = 0;   ///< tokens that arrive after the prompt: a head that only prompts are cut for has limit + promised slots
  layout order = layout::slots;
  std::uint32_t group_threads = 1;  ///< the most threads of a group that runs a block (1 on the CPU's executors)
};

/// How many slots each head may hold, and how many are allocated: arithmetic on the host, before any memory is taken.
/// Under a measured budget what stands here of a head holds before its prompt is cut, and of the sum over a layer's heads
/// for good.
struct slot_plan {
  std::uint32_t capacity = 0;  ///< slots allocated per head; where heads differ, of the one with most
  std::uint32_t longest = 0;   ///< the most slots that any head may come to have
  slot_extent extent;
  std::vector<std::uint32_t> limits;      ///< [layers, kv_heads]
  std::vector<std::uint32_t> rooms;       ///< [layers, kv_heads], slots allocated: the limit and what may lie beyond it
  std::vector<std::uint32_t> least;       ///< [layers], the lowest limit of a layer's heads
  std::vector<std::uint32_t> most;        ///< [layers], the highest
  std::vector<std::uint32_t> least_room;  ///< [layers], slots of the head with the lowest limit
  std::vector<std::uint32_t> most_room;   ///< [layers], and of the one with the highest: the newest token's slot among them
  std::vector<std::uint64_t> shares;      ///< [layers], slots allocated for the heads of one sequence, however they are split
};

/// Length of the piece that the next `tokens` tokens of a prompt begin with, of a policy that takes long prompts in pieces of
/// `stride` (0: whole), where heads of limit `limit` hold `held`. What fits comes at once; what does not comes in whole
/// strides, behind a piece that takes the odd tokens and fills the heads as far as strides allow.
constexpr std::uint32_t next_piece(std::uint32_t stride, std::uint32_t limit, std::uint32_t held, std::uint32_t tokens) {
  if (stride == 0 || std::uint64_t{held} + tokens <= limit) return tokens;
  std::uint32_t const odd = tokens % stride;
  std::uint32_t const strides = std::uint64_t{held} + odd <= limit ? (limit - held - odd) / stride : 0;
  std::uint32_t const first = odd + strides * stride;
  return first != 0 ? first : stride;
}

namespace detail {

/// Refuses policies whose rules are asked where they cannot answer.
inline void check_moments(policy_facts const& facts, bool measured) {
  require(!facts.neighbours, "rules with a pooled score in decode", 1,
          "slots lie in position order at prompt_end only; ask such a score there");
  require(!facts.keys_too_late, "rules that read keys elsewhere than at prompt_end", 1,
          "keys are at hand at prompt_end only; ask such a score there alone");
  require(!facts.competing_elsewhere, "rules with competing heads in decode or under a ranked scope", 1,
          "heads compete at prompt_end, by score alone");
  if (facts.shared && facts.each)
    throw bad_argument("one rule's heads decide together, another's each for itself; their slots would differ, make all unit::shared");
  if (facts.whole_and_pieces)
    throw bad_argument("rules are asked at prompt_end and at piece_end; a prompt is taken whole or in pieces, ask one of the two");
  require(facts.competing == measured, "measured budget", measured ? 1 : 0,
          "heads compete under a measured budget, and a measured budget needs a rule at prompt_end whose heads compete");
}

/// Refuses a measured budget that could leave a head less than the rules of decode need; the most slots it gives a head.
template <class Budget>
std::uint32_t check_measured(Budget const& budget, policy_facts const& facts, cache_shape const& shape, std::uint32_t limit,
                             std::uint32_t max_piece) {
  std::uint32_t most = limit;
  with_measured(budget, [&]<class Shares>(Shares const& shares) {
    if constexpr (!Shares::each_head) {
      std::uint64_t const least = shares.least(limit, facts.guarded);
      require(facts.decode_limit <= least, "least slots of a head", least,
              "a head that wins nothing needs room for what decode protects; raise the budget, the window or the floor");
      std::uint64_t const given = shares.most(limit, std::uint64_t{limit} * shape.kv_heads, shape.kv_heads, facts.guarded);
      most = std::max(limit, static_cast<std::uint32_t>(std::min<std::uint64_t>(given, max_piece)));
    }
  });
  return most;
}

}  // namespace detail

/// grain: slots that rows are made of. Throws bad_argument for a shape, policy or option that cannot be served.
template <class Policy>
slot_plan plan_slots(cache_shape const& shape, Policy const& policy, cache_options const& options, std::uint32_t grain = 1) {
  check(shape);
  require(options.max_piece >= 1, "max_piece", options.max_piece, "give the longest piece of tokens, at least 1");
  require(options.group_threads >= 1 && options.group_threads <= 1024, "group_threads", options.group_threads, "give 1 to 1024");
  policy_facts const facts = policy.facts();
  bool const measured = detail::heads_compete(policy.budget);
  detail::check_moments(facts, measured);
  require(!detail::each_head_measures(policy.budget) || includes(facts.moments, moment::prompt_end), "measured budget", 1,
          "heads measure what they keep of a prompt; it needs a rule at prompt_end");
  require(!measured || std::uint64_t{shape.kv_heads} * options.max_piece < 0xffffffffu, "kv_heads x max_piece",
          std::uint64_t{shape.kv_heads} * options.max_piece, "heads compete for less than 2^32 slots");
  if (facts.looks_too_late)
    throw bad_argument("a rule's moment is prompt_end or after_attention; its score looks at an arriving token, ask it at before_append");
  slot_plan plan;
  std::uint32_t bounded = 0, beyond = 0;  // the largest limit there is; how far heads come out above it
  bool unlimited = false;
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
      if (limit != no_limit) bounded = std::max(bounded, limit);
    }
    require(!(facts.shared || measured) || least == most, "budget", least,
            "heads that decide together need the same one in all heads of a layer");
    if (measured) beyond = std::max(beyond, detail::check_measured(policy.budget, facts, shape, most, options.max_piece) - most);
    plan.least.push_back(least);
    plan.most.push_back(most);
    unlimited = unlimited || most == no_limit;
  }
  // After attention: the newest token attends before a victim is chosen, and so does a piece.
  std::uint32_t const newest = std::max(includes(facts.moments, moment::after_attention) ? 1u : 0u, facts.stride);
  bool const evicts = includes(facts.moments, moment::before_append | moment::after_attention);
  bool const rules = facts.moments != moment{};
  std::uint64_t const grown = std::uint64_t{bounded} + std::max(facts.stride, evicts ? 0u : options.promised);
  require((evicts && facts.stride == 0) || grown < 0x7fffffffu, "limit + promised", grown, "give less than 2^31 slots");
  require((rules && !unlimited) || options.capacity >= 1, "capacity", options.capacity,
          "a policy without a limit needs the slots to allocate per head");
  auto const room = [&](std::uint32_t limit) {
    if (limit == no_limit) return std::max(options.capacity, bounded + newest);
    if (!rules) return options.capacity;
    return evicts ? limit + newest : std::max(options.capacity, limit + std::max(newest, options.promised));
  };
  for (std::uint32_t const limit : plan.limits) {
    plan.rooms.push_back(room(limit));
    plan.capacity = std::max(plan.capacity, plan.rooms.back());
  }
  std::uint64_t slots = 0;
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    std::uint64_t sum = 0, of_grains = 0;
    for (std::uint32_t h = 0; h < shape.kv_heads; ++h) {
      std::uint32_t const of_head = plan.rooms[std::size_t{l} * shape.kv_heads + h];
      sum += of_head;
      of_grains += whole(of_head, grain);
    }
    // A measured split of the sum leaves each head at most grain - 1 slots that it does not use.
    std::uint64_t const split = (sum + std::uint64_t{shape.kv_heads} * (grain - 1)) / grain * grain;
    plan.shares.push_back(measured ? split : of_grains);
    slots += plan.shares.back() * shape.sequences;
    plan.least_room.push_back(room(plan.least[l]));
    plan.most_room.push_back(room(plan.most[l]));
  }
  std::uint64_t const widest = whole(plan.capacity, grain);
  bool const even = slots == shape.rows() * widest && !measured;
  plan.extent = {static_cast<std::uint32_t>(widest), static_cast<std::size_t>(slots), !even};
  plan.longest = plan.capacity + beyond;
  slots = std::max(slots, std::uint64_t{shape.rows()} * options.max_piece);
  require(grain == 1 || slots / grain < 0xffffffffu, "pages", slots / grain,
          "exceed 2^32 - 1; lower the budget, the longest piece or the batch");
  require(slots <= std::uint64_t{1} << 40, "slots of all heads", slots, "exceed 2^40; lower the budget, the longest piece or the batch");
  return plan;
}

}  // namespace kvsift
