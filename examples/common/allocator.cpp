#include <common/allocator.hpp>

#include <algorithm>
#include <utility>
#include <vector>

#include <common/head_table.hpp>
#include <kvsift/budget/duo_attention.hpp>
#include <kvsift/budget/head_scores.hpp>
#include <kvsift/budget/layer_pattern.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using reference_model::bad_file;

// The numbers of a table with `heads` a layer; a table of one row stands for all layers.
std::vector<double> by_head(allocator_request const& asked, kvsift::cache_shape const& shape, std::uint32_t heads) {
  head_table const t = load_head_table(asked.scores, asked.task);
  bool const row = t.layers == 1 && t.heads == std::size_t{shape.layers} * heads;
  if (!row && (t.layers != shape.layers || t.heads != heads))
    throw bad_file(asked.scores, "has " + std::to_string(t.layers) + " layers of " + std::to_string(t.heads) + " heads; " + asked.name +
                                     " needs " + std::to_string(shape.layers) + " of " + std::to_string(heads) + " for this model");
  return t.values;
}

}  // namespace

kvsift::catalogue_policy allocated(kvsift::catalogue_policy policy, allocator_request const& asked, kvsift::cache_shape const& shape) {
  if (asked.name == "uniform") return policy;
  // What every head keeps anyway is what the rules need: no head comes out with less.
  auto const needed = static_cast<std::uint32_t>(std::min<std::uint64_t>(policy.value.facts().least_limit, kvsift::most_slots));
  kvsift::profile const rounding = asked.published ? kvsift::profile::published : kvsift::profile::exact;
  kvsift::any_budget const& budget = policy.value.budget;
  if (asked.name == "pyramid") {
    policy.value.budget = budget.with_limits(
        kvsift::pyramid_budget{policy.slots, needed, asked.beta > 0 ? static_cast<std::uint32_t>(asked.beta) : 20, 0, rounding});
    for (std::uint32_t l = 0; l < shape.layers; ++l) policy.slots = std::max(policy.slots, policy.value.budget.limit(shape, l, 0));
    return policy;
  }
  if (asked.name == "cold_compress_pyramid" || asked.name == "cold_compress_funnel") {
    std::vector<std::uint32_t> layers = kvsift::funnel_slots(shape.layers, policy.slots, asked.longest);
    if (asked.name == "cold_compress_pyramid") std::reverse(layers.begin(), layers.end());
    policy.slots = *std::max_element(layers.begin(), layers.end());
    policy.value.budget = budget.with_limits(kvsift::layer_budgets{std::move(layers)});
    return policy;
  }
  kvsift::head_share const share{policy.slots, std::max(needed, 1u), 0};
  std::vector<std::uint32_t> slots;
  if (asked.name == "headkv") {
    slots = kvsift::headkv_slots(shape, by_head(asked, shape, shape.query_heads()), share, asked.beta > 0 ? asked.beta : 1.5,
                                 asked.temperature, rounding);
  } else if (asked.name == "cokv") {
    slots = kvsift::cokv_slots(shape, by_head(asked, shape, shape.kv_heads), share, asked.border, rounding);
  } else {
    slots = kvsift::duo_attention_slots(kvsift::retrieval_heads(by_head(asked, shape, shape.kv_heads), asked.sparsity), policy.slots, 0);
  }
  policy.slots = *std::max_element(slots.begin(), slots.end());
  policy.bounded = policy.slots != kvsift::no_limit;
  if (!policy.bounded) policy.slots = 0;
  policy.value.budget = budget.with_limits(kvsift::head_budgets{std::move(slots)});
  return policy;
}

}  // namespace programs
