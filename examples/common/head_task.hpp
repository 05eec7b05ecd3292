#pragma once
// Tasks that policies, and so sets of heads, are worth something by.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <common/policy_choice.hpp>
#include <common/shared_options.hpp>

namespace programs {

// A task: what a model under a policy is worth at it, from 0 to 1, the more the better. Whatever has this shape can be
// the game's value.
struct head_task {
  std::string description;  // JSON: all that the value depends on but model, policy and window
  std::function<double(policy_choice const&)> value;
  std::function<std::vector<policy_choice>(shared_options const&)>
      policies;  // those of the command line; P% is of the task's tokens
};

// What the command line says of a task.
struct task_options {
  std::string task = "passkey";       // passkey, text or a file of prompts
  std::string metric = "likelihood";  // likelihood or exact
  std::string text;                   // of the task text: a file
  std::uint64_t prompts = 20, length = 300, depths = 5, seed = 1;
  std::uint64_t tokens = 4096, window = 512, from = 384;
  bool decode_first_token = false;
};
void add_task_options(command_line& line, task_options& o);

// The task for a model, which must outlive it. Of `shared` the executor, layout and positions count.
//   passkey, FILE.jsonl  prompts with answers: exact is the share of prompts whose answer is written, greedily;
//   likelihood the
//                        mean over the prompts of the geometric mean of the probabilities of the answer's tokens
//   text                 likelihood: exp(-mean negative log-likelihood), that is 1 / perplexity, of what follows the
//   first
//                        `from` tokens of each window, which are its prompt
// A file has a line {"prompt": TEXT, "answer": TEXT} a prompt. Throws usage_error or bad_file.
head_task make_head_task(loaded_model const& m, shared_options const& shared, task_options const& o);

}  // namespace programs
