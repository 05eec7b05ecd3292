#include <common/tasks/answer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

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

// Negative log-likelihood of each text behind what was fed, whose logits are given. The session is left anywhere; tokens
// that were fed are added to `steps`.
std::vector<double> likelihoods(loaded_model const& m, session& run, float const* logits,
                                std::vector<std::vector<std::uint32_t>> const& texts, std::size_t& steps) {
  std::uint32_t const vocab = m.config().vocab;
  std::vector<float> const first(logits, logits + vocab);
  session::state prompt;
  if (texts.size() > 1) prompt = run.save();
  std::vector<double> all;
  bool fed = false;
  for (auto const& tokens : texts) {
    if (fed) run.restore(prompt);
    fed = false;
    double nll = 0;
    float const* next = first.data();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      nll += reference_model::negative_log_likelihood(next, vocab, tokens[i]);
      if (i + 1 == tokens.size()) break;
      next = run.feed(tokens[i]);
      ++steps;
      fed = true;
    }
    all.push_back(nll);
  }
  return all;
}

// The choice whose tokens are likeliest together. Every choice begins where the prompt ended.
std::string likeliest(loaded_model const& m, session& run, sample const& s, float const* logits, std::size_t& steps) {
  std::vector<std::vector<std::uint32_t>> texts;
  for (std::string const& choice : s.choices) texts.push_back(m.text->encode(choice, false));
  std::vector<double> const nll = likelihoods(m, run, logits, texts, steps);
  return s.choices[static_cast<std::size_t>(std::min_element(nll.begin(), nll.end()) - nll.begin())];
}

}  // namespace

position_plan plan_samples(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                           std::vector<sample> const& samples) {
  sizes const longest = sizes_of(samples);
  return plan_positions(o, choice, m, longest.tokens - 1, longest.prompt);
}

std::string answer_of(loaded_model const& m, session& run, sample const& s, position_plan const& plan,
                      bool last_alone) {
  return answer_behind(m, run, s, feed_sample(run, s, plan, last_alone));
}

std::string answer_behind(loaded_model const& m, session& run, sample const& s, float const* logits,
                          std::size_t* steps) {
  std::size_t uncounted = 0;
  std::size_t& fed = steps != nullptr ? *steps : uncounted;
  if (!s.choices.empty()) return likeliest(m, run, s, logits, fed);
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
    ++fed;
    before = next;
  }
  return s.characters > 0 ? text.substr(0, s.characters) : text;
}

std::vector<std::vector<std::uint32_t>> tokens_of_answers(reference_model::tokenizer const& text, sample const& s) {
  std::string const before = text.decode(s.prompt);
  auto const first = text.encode(before, false);
  std::vector<std::vector<std::uint32_t>> all;
  for (std::string const& answer : s.answers) {
    auto const whole = text.encode(before + answer, false);
    bool const behind = whole.size() > first.size() && std::equal(first.begin(), first.end(), whole.begin());
    if (behind)
      all.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(first.size()), whole.end());
    else
      all.push_back(text.encode(answer, false));
  }
  return all;
}

double likelihood_behind(loaded_model const& m, session& run, std::vector<std::vector<std::uint32_t>> const& answers,
                         float const* logits) {
  std::size_t uncounted = 0;
  std::vector<double> const nll = likelihoods(m, run, logits, answers, uncounted);
  double best = 0;
  for (std::size_t i = 0; i < nll.size(); ++i)
    if (!answers[i].empty()) best = std::max(best, std::exp(-nll[i] / static_cast<double>(answers[i].size())));
  return best;
}

std::size_t longest_of(std::vector<sample> const& samples) { return sizes_of(samples).tokens; }

task_answers answer_all(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                        std::vector<sample> const& samples, std::size_t first, std::string const& executor,
                        bool last_alone, std::function<void(std::size_t, answered const&)> const& done) {
  task_answers all;
  session run(m.model, choice, session_of(plan, choice, m, executor, sizes_of(samples).tokens));
  all.memory = run.memory();
  all.heap.look();
  for (std::size_t i = first; i < samples.size(); ++i) {
    using clock = std::chrono::steady_clock;
    auto const begin = clock::now();
    answered one;
    float const* const logits = feed_sample(run, samples[i], plan, last_alone);
    one.prefill_seconds = std::chrono::duration<double>(clock::now() - begin).count();
    one.text = valid_text(answer_behind(m, run, samples[i], logits, &one.steps));
    one.saved = run.saved();
    one.seconds = std::chrono::duration<double>(clock::now() - begin).count();
    all.heap.look();
    all.each.push_back(std::move(one));
    done(i, all.each.back());
  }
  return all;
}

}  // namespace programs
