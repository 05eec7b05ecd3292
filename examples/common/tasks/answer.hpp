#pragma once
// A model under a policy answers the samples of a task.
#include <cstddef>
#include <cstdint>
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

// Feeds the prompt of a sample to an empty session; its logits. The last token of a prompt is fed alone if
// `last_alone`, and always where there are choices: else the first token would come from the whole prompt, whatever the
// policy keeps. `prefix(tokens)` feeds what is not the last token, or all.
template <class Prefix>
float const* feed_sample(session& run, sample const& s, bool last_alone, Prefix prefix) {
  if ((!last_alone && s.choices.empty()) || s.prompt.size() < 2) return prefix(s.prompt);
  prefix(std::vector<std::uint32_t>(s.prompt.begin(), s.prompt.end() - 1));
  return run.feed(s.prompt.back());
}
inline float const* feed_sample(session& run, sample const& s, position_plan const& plan, bool last_alone) {
  run.clear();
  return feed_sample(run, s, last_alone,
                     [&](std::vector<std::uint32_t> const& tokens) { return feed_prompt(run, tokens, plan); });
}

// What the model writes behind the prompt that was fed and has these logits, greedily, or the likeliest of the choices.
// `steps`: tokens that are fed for it are added.
std::string answer_behind(loaded_model const& m, session& run, sample const& s, float const* logits,
                          std::size_t* steps = nullptr);

// feed_sample, and answer_behind.
std::string answer_of(loaded_model const& m, session& run, sample const& s, position_plan const& plan, bool last_alone);

// The tokens that write each of a sample's answers behind its prompt.
std::vector<std::vector<std::uint32_t>> tokens_of_answers(reference_model::tokenizer const& text, sample const& s);

// How likely the model is to write an answer, one of these tokens, behind the prompt that was fed and has these logits:
// the geometric mean of the probabilities of its tokens, of the likeliest of the answers.
double likelihood_behind(loaded_model const& m, session& run, std::vector<std::vector<std::uint32_t>> const& answers,
                         float const* logits);

// Tokens that the longest prompt and its answer have.
std::size_t longest_of(std::vector<sample> const& samples);

// Answers samples[first] and those behind it; calls done(sample, answer) after each.
task_answers answer_all(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                        std::vector<sample> const& samples, std::size_t first, std::string const& executor,
                        bool last_alone, std::function<void(std::size_t, answered const&)> const& done);

}  // namespace programs
