#pragma once
// Prompts that are fed once, though many coalitions of heads go on from them: what the others hold when a prompt ends
// changes nothing of what a head holds, so that the heads of two caches, everyone's and nobody's, make up any third.
#include <cstddef>
#include <optional>
#include <vector>

#include <common/keep_heads.hpp>
#include <common/shared_options.hpp>

namespace programs {

// A cache that holds of each head [layers x kv_heads] what it holds in `everyone` where it is a member, else in
// `nobody`: two caches that were fed the same.
kvsift::cache_image joined(coalition const& members, kvsift::cache_image const& everyone,
                           kvsift::cache_image const& nobody);

class fed_prompts {
 public:
  // `m` must outlive this. Of `count` prompts as many are kept as have room in `bytes`; others are fed again.
  fed_prompts(loaded_model const& m, shared_options with, head_window const& window, std::size_t count,
              std::size_t bytes);

  // Brings `run`, a session of `tokens` tokens under keep_heads(members, window), to where feed_prompt(tokens of prompt
  // i) would have brought it. Logits of its last token, valid until the next call.
  float const* feed(session& run, std::size_t i, std::vector<std::uint32_t> const& prompt, coalition const& members,
                    position_plan const& plan, std::size_t tokens);

 private:
  struct fed {
    session::state everyone, nobody;
    std::vector<float> logits;
  };
  fed feed_both(std::vector<std::uint32_t> const& prompt, position_plan const& plan, std::size_t tokens,
                std::size_t heads) const;

  loaded_model const& m_;
  shared_options with_;
  head_window window_;
  std::vector<std::optional<fed>> kept_;
  std::size_t room_;
};

}  // namespace programs
