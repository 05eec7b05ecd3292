#pragma once
// What policies, and so sets of heads, are worth at a task.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <common/keep_heads.hpp>
#include <common/policy_choice.hpp>
#include <common/shared_options.hpp>
#include <common/tasks/task.hpp>

namespace programs {

// What a model under a policy is worth at a task, from 0 to 1, the more the better. Whatever has this shape can be the
// game's value.
struct head_task {
  std::string description;  // JSON: all that the value depends on but model, policy and window
  std::function<double(policy_choice const&)> value;
  // value(keep_heads(members, window)). Prompts are fed once, whatever the members, and kept while a quarter of the
  // machine's memory holds them.
  std::function<double(coalition const& members, head_window const& window)> worth;
  std::function<std::vector<policy_choice>(shared_options const&)>
      policies;  // those of the command line; P% is of the task's tokens
};

// What the command line says of a task.
struct task_options {
  std::string task = "passkey";       // whatever find_task finds, or text
  std::string metric = "likelihood";  // likelihood, score, exact or the name of a metric
  std::string text;                   // of the task text: a file
  std::string haystack, data;         // see task_sources
  std::optional<std::uint64_t> prompts{};  // none: 20, of a file all its rows
  std::uint64_t length = 0;           // 0: 300, of a file its own
  std::uint64_t depths = 5, seed = 1;
  std::uint64_t tokens = 4096, window = 512, from = 384;
  bool decode_first_token = false;
};
// --task and what its prompts are drawn by.
void add_sample_options(command_line& line, task_options& o);
// These, --metric and the task text.
void add_task_options(command_line& line, task_options& o);

// The prompts that the options name. Throws usage_error or bad_file.
std::vector<sample> draw_samples(loaded_model const& m, task_options const& o, task const& asked);
// Of a task of theirs.
task find_task(task_options const& o);

// The task for a model, which must outlive it. Of `shared` the executor, layout and positions count.
//   likelihood  mean over the prompts of likelihood_of
//   a metric    mean over the prompts of the metric of what is written, greedily; `score` is the task's first, `exact`
//               is exact_match
//   text        likelihood: exp(-mean negative log-likelihood), that is 1 / perplexity, of what follows the first
//               `from` tokens of each window, which are its prompt
// Throws usage_error or bad_file.
head_task make_head_task(loaded_model const& m, shared_options const& shared, task_options const& o);

}  // namespace programs
