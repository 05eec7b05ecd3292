#pragma once
// A model under a policy answers the samples of a task.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <common/shared_options.hpp>
#include <common/tasks/task.hpp>

namespace programs {

struct answered {
  std::string text;    // UTF-8; what is none became U+FFFD
  double seconds = 0;  // prompt and answer
  compression saved;   // at the end of the answer
};

struct task_answers {
  std::vector<answered> each;  // [samples]
  session_memory memory;
};

// How samples are laid over the model's positions. Throws usage_error.
position_plan plan_samples(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                           std::vector<sample> const& samples);

// What the model writes behind a prompt, greedily, or the likeliest of the choices. The last token of a prompt is fed
// alone if `last_alone`, and always where there are choices: else the first token would come from the whole prompt,
// whatever the policy keeps.
std::string answer_of(loaded_model const& m, session& run, sample const& s, position_plan const& plan, bool last_alone);

// The tokens that write each of a sample's answers behind its prompt.
std::vector<std::vector<std::uint32_t>> tokens_of_answers(reference_model::tokenizer const& text, sample const& s);

// How likely the model is to write an answer, one of these tokens, behind the prompt, fed as answer_of feeds it: the
// geometric mean of the probabilities of its tokens, of the likeliest of the answers.
double likelihood_of(loaded_model const& m, session& run, sample const& s,
                     std::vector<std::vector<std::uint32_t>> const& answers, position_plan const& plan,
                     bool last_alone);

// Tokens that the longest prompt and its answer have.
std::size_t longest_of(std::vector<sample> const& samples);

// Answers samples[first] and those behind it; calls done(sample, answer) after each.
task_answers answer_all(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                        std::vector<sample> const& samples, std::size_t first, std::string const& executor,
                        bool last_alone, std::function<void(std::size_t, answered const&)> const& done);

}  // namespace programs
