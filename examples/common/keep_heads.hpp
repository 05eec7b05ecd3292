#pragma once
// Policies under which some KV heads keep everything, and the others a window.
#include <cstdint>

#include <common/coalition.hpp>
#include <common/policy_choice.hpp>

namespace programs {

// What a head keeps of the prompt that is no member: CoKV's is the newest 8 tokens and no sinks.
struct head_window {
  std::uint32_t sinks = 0, recent = 8;
};

// The policy under which members [layers x kv_heads] keep everything. Cut is once, when the prompt ends.
policy_choice keep_heads(coalition const& members, head_window const& window);

}  // namespace programs
