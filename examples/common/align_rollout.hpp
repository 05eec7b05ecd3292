#pragma once
// KV-Align's networks as they are used: a text streams through a cache that they realign, so that they are given what they made themselves.
#include <cstdint>
#include <span>
#include <vector>

#include <common/align_training.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/position/learned_align.hpp>
#include <reference_model/model/weights.hpp>

namespace programs {

// A text that streams through a cache of sinks and a window, and the evictions at which it is looked at: ascending, the first one is 0.
struct align_rollout {
  std::vector<std::uint32_t> tokens;  // budget + 1 before the first eviction, then one each
  std::uint32_t budget = 0;           // slots of a head
  std::vector<std::uint32_t> looks;
  enum class drift_is { as_held, scattered } drift = drift_is::as_held;
  std::uint64_t seed = 0;  // of scattered
};

// Adds the pairs of one rollout, layers x KV heads x (budget - sinks) a look. From: what a survivor really held just before the eviction, after
// all that the networks of `rule` had made of it. To: what a forward pass over the tokens that stay gives, at positions 0 .. budget - 1.
// Scattered: from is truth + s (held - truth) for a number s of its own from -1 to 1, truth being a forward pass with the token that goes. Drift is much the
// same for all that stands in a place; as it is, networks learn to subtract it there, do so at every step, and go astray to the other side.
// Of either sign, only looking at the vector helps.
void add_rollout_pairs(kvsift::parallel_executor const& on, reference_model::model const& m, kvsift::learned_align const& rule,
                       align_rollout const& rollout, align_pairs& keys, align_pairs& values);

// What rollouts are drawn from: budgets of up to window - 1 slots; `pairs` pairs in all, or a few more.
struct rollout_draw {
  std::uint32_t window = 0, sinks = 4, rows = 0;  // rows: layers x KV heads
  std::uint64_t pairs = 0;
};

// Rollouts through windows of 8 slots to the longest, a quarter of the pairs from each quarter of the sizes on a logarithmic scale. They have no
// more evictions than one and a half times their windows, for by then nothing is left of those before. Each begins with the text's first token,
// and its drift is scattered.
std::vector<align_rollout> draw_rollouts(std::span<std::uint32_t const> text, rollout_draw const& d, std::uint64_t seed);

// One through half a window, looked at eight times, from when no token is left of those before the first eviction; sooner in a short text.
align_rollout measured_rollout(std::span<std::uint32_t const> text, rollout_draw const& d);

}  // namespace programs
