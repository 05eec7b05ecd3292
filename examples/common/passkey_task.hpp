#pragma once
// Pass keys in long prompts, and whether a model under a policy finds them.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <common/passkey_prompt.hpp>
#include <common/shared_options.hpp>

namespace programs {

inline constexpr std::size_t passkey_answer_tokens =
    8;  // drawn at most: five digits, and a space that the tokenizer may put first

// The prompts of a run, the same for every policy. Prompt i has depth i mod depths, so that every depth has as many
// prompts as another, or one less.
struct passkey_set {
  std::vector<passkey_prompt> prompts;
  std::size_t depths = 1, longest = 0;

  std::size_t tokens() const { return longest + passkey_answer_tokens; }  // of the longest prompt and its answer
};

// Throws usage_error.
passkey_set draw_passkeys(loaded_model const& m, std::uint64_t seed, std::uint64_t prompts, std::uint64_t depths,
                          std::uint64_t length);

struct passkey_answers {
  std::vector<std::string> answers;  // [prompts], what the model writes next, greedily, without a space in front
  double seconds = 0;
  session_memory memory;
  compression saved;  // mean of the prompts, each at the end of its answer

  bool right(std::size_t prompt, passkey_set const& set) const { return answers[prompt] == set.prompts[prompt].target; }
  double accuracy(passkey_set const& set) const { return accuracy(set, 0, 1); }  // of all prompts
  double accuracy(passkey_set const& set, std::size_t depth) const { return accuracy(set, depth, set.depths); }

 private:
  double accuracy(passkey_set const& set, std::size_t first, std::size_t step) const;
};

position_plan plan_passkeys(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                            passkey_set const& set);

// Calls progress() after every prompt.
passkey_answers find_passkeys(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                              passkey_set const& set, std::string const& executor,
                              std::function<void()> const& progress);

}  // namespace programs
