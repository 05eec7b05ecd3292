#include <common/tasks/answer.hpp>

#include <algorithm>
#include <chrono>
#include <limits>

#include <common/metrics/words.hpp>
#include <reference_model/model/metrics.hpp>

namespace programs {

namespace {

struct sizes {
  std::size_t prompt = 1, tokens = 1;  // of the longest
};

sizes sizes_of(std::vector<sample> const& samples) {
  sizes longest;
  for (sample const& s : samples) {
    longest.prompt = std::max(longest.prompt, s.prompt.size());
    longest.tokens = std::max(longest.tokens, s.tokens());
  }
  return longest;
}

// The choice whose tokens are likeliest together. Every choice begins where the prompt ended.
std::string likeliest(loaded_model const& m, session& run, sample const& s, float const* logits, std::size_t& steps) {
  std::uint32_t const vocab = m.config().vocab;
  std::vector<float> const first(logits, logits + vocab);
  session::state const prompt = run.save();
  std::string const* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (std::string const& choice : s.choices) {
    auto const tokens = m.text->encode(choice, false);
    double nll = 0;
    float const* next = first.data();
    bool fed = false;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      nll += reference_model::negative_log_likelihood(next, vocab, tokens[i]);
      if (i + 1 == tokens.size()) break;
      next = run.feed(tokens[i]);
      ++steps;
      fed = true;
    }
    if (fed) run.restore(prompt);
    if (best != nullptr && !(nll < least)) continue;
    best = &choice;
    least = nll;
  }
  return *best;
}

}  // namespace

position_plan plan_samples(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                           std::vector<sample> const& samples) {
  sizes const longest = sizes_of(samples);
  return plan_positions(o, choice, m, longest.tokens - 1, longest.prompt);
}

std::string answer_of(loaded_model const& m, session& run, sample const& s, position_plan const& plan,
                      bool last_alone, answered* times) {
  answered unasked;
  answered& spent = times != nullptr ? *times : unasked;
  auto const asked_at = std::chrono::steady_clock::now();
  run.clear();
  float const* logits = nullptr;
  if ((last_alone || !s.choices.empty()) && s.prompt.size() > 1) {
    feed_prompt(run, {s.prompt.begin(), s.prompt.end() - 1}, plan);
    logits = run.feed(s.prompt.back());
  } else {
    logits = feed_prompt(run, s.prompt, plan);
  }
  spent.prefill_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - asked_at).count();
  if (!s.choices.empty()) return likeliest(m, run, s, logits, spent.steps);
  std::uint32_t before = s.prompt.back();
  std::string text;
  for (std::size_t i = 0; i < s.new_tokens; ++i) {
    auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
    if (m.text->ends(next)) break;
    text += m.text->piece(before, next);
    if (s.characters > 0) text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
    if (s.words > 0)
      if (auto words = words_of(text); words.size() > s.words) {
        words.resize(s.words);
        return joined(words);
      }
    std::size_t const begin = text.size() - stripped(text + ".").size() + 1;  // stops count behind white space in front
    std::size_t end = text.size();
    for (std::string const& stop : s.stop) end = std::min(end, text.find(stop, begin));
    if (end < text.size()) return text.substr(0, end);
    if ((s.characters > 0 && text.size() >= s.characters) || i + 1 == s.new_tokens) break;
    logits = run.feed(next);
    ++spent.steps;
    before = next;
  }
  return s.characters > 0 ? text.substr(0, s.characters) : text;
}

task_answers answer_all(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                        std::vector<sample> const& samples, std::size_t first, std::string const& executor,
                        bool last_alone, std::function<void(std::size_t, answered const&)> const& done) {
  task_answers all;
  session run(m.model, choice, session_of(plan, choice, m, executor, sizes_of(samples).tokens));
  all.memory = run.memory();
  all.heap.look();
  for (std::size_t i = first; i < samples.size(); ++i) {
    auto const begin = std::chrono::steady_clock::now();
    answered one;
    one.text = valid_text(answer_of(m, run, samples[i], plan, last_alone, &one));
    one.saved = run.saved();
    one.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    all.heap.look();
    all.each.push_back(std::move(one));
    done(i, all.each.back());
  }
  return all;
}

}  // namespace programs
