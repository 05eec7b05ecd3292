#pragma once
// A model under a policy answers the samples of a task.
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <common/heap_use.hpp>
#include <common/shared_options.hpp>
#include <common/tasks/task.hpp>

namespace programs {

struct answered {
  std::string text;    // UTF-8; what is none became U+FFFD
  double seconds = 0;  // prompt and answer
  double prefill_seconds = 0;  // of them, until the first logits of the answer
  std::size_t steps = 0;       // tokens of the answer that were fed
  compression saved;   // at the end of the answer
};

struct task_answers {
  std::vector<answered> each;  // [samples]
  session_memory memory;
  heap_growth heap;  // of the session and what it works with, looked at when it is made and behind every answer
};

// How samples are laid over the model's positions. Throws usage_error.
position_plan plan_samples(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                           std::vector<sample> const& samples);

// What the model writes behind a prompt, greedily, or the likeliest of the choices. The last token of a prompt is fed
// alone if `last_alone`, and always where there are choices: else the first token would come from the whole prompt,
// whatever the policy keeps. `times`: its prefill_seconds and steps are set.
std::string answer_of(loaded_model const& m, session& run, sample const& s, position_plan const& plan, bool last_alone,
                      answered* times = nullptr);

// Answers samples[first] and those behind it; calls done(sample, answer) after each.
task_answers answer_all(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                        std::vector<sample> const& samples, std::size_t first, std::string const& executor,
                        bool last_alone, std::function<void(std::size_t, answered const&)> const& done);

}  // namespace programs
