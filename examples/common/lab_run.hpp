#pragma once
// What lab runs: a policy at a budget over a task, and what is shown of all of them.
#include <cstdint>
#include <string>
#include <vector>

#include <common/shared_options.hpp>

namespace programs {

struct lab_run {
  std::string task;          // as it was asked for: perplexity, a generated one, a file
  std::uint64_t length = 0;  // of its prompts; 0: the task's own
  std::string drawn_from;    // fingerprint of its task file and all samples, or of the text's tokens
  std::string begins_with;   // of its task file and its first sample
  std::string budget;        // as it was asked for; "" if the policy keeps everything
  policy_choice choice{};
  position_plan plan{};
  std::string key{};      // what was run, as JSON: equal text, equal run
  std::string folder{};   // where its predictions are; "": nowhere
  std::string command{};  // runs it alone
  std::string result{};   // as JSON; "" until it is done

  bool perplexity() const { return task == "perplexity"; }
};

// What tables and folders call a task: of a task file its name.
std::string task_label(std::string const& task);

// A row a policy and budget, a column a task and length; for people, where those are more than four, a row a run. Runs
// that differ in more, as in their seed, have rows of their own that say in what.
std::string lab_table(std::vector<lab_run> const& runs, bool csv);

// SVG: a row a policy, best first: by scores, then by perplexity, each over all budgets.
std::string lab_picture(std::vector<lab_run> const& runs, std::vector<std::string> const& budgets);

// SVG: depth of what is asked for by length of the prompt, a panel a policy and budget, of one task with depths.
std::string lab_heat_map(std::vector<lab_run> const& runs, std::string const& task);

}  // namespace programs
