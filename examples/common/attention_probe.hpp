#pragma once
// How much of the full attention what a policy keeps still holds, and where it lies. The same tokens are fed to a full
// cache and under the policy: a prompt, then an answer that is given, so that policies are asked by the same queries.
//
// Recovered attention mass of a step: the attention of a query head, as the full cache computes it, to the tokens that
// the policy lets that query see; mean of heads and layers. Attention loss: 1 minus it, as Cold Compress has it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <common/shared_options.hpp>

namespace programs {

struct probe_text {
  std::vector<std::uint32_t> prompt, answer;  // neither is empty
};

// What the full cache's query heads look at while the answer is fed.
struct full_attention {
  std::vector<std::vector<std::vector<float>>> steps;  // [answer][layer x query head][tokens seen]
};
full_attention attend_fully(loaded_model const& m, probe_text const& text);

constexpr std::size_t probe_bins = 48;

struct attention_probe {
  std::vector<double> recovered;          // [layers], mean of steps and heads
  std::size_t steps = 0;
  std::vector<std::vector<double>> kept;  // [layers][probe_bins]: share of the tokens there that heads hold at the end

  double mean() const;
};

// `tokens`: what the plan was made for. Throws what a session throws.
attention_probe probe_attention(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                                probe_text const& text, full_attention const& full, std::size_t tokens,
                                std::string const& executor);

}  // namespace programs
