#include <common/head_task.hpp>

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <common/fed_prompts.hpp>
#include <common/fnv1a.hpp>
#include <common/json_output.hpp>
#include <common/metrics/words.hpp>
#include <common/perplexity_task.hpp>
#include <common/tasks/answer.hpp>

namespace programs {

namespace {

// Policies of the command line for prompts of `longest` tokens; the budget bounds the prompt.
std::vector<policy_choice> policies_of(shared_options o, std::uint64_t longest) {
  if (o.bound == "both") o.bound = "";
  return choose_all(o, longest, longest);
}

// All that answers depend on, as one number.
std::string fingerprint(std::vector<sample> const& samples) {
  fnv1a sum;
  auto const add = [&](std::vector<std::string> const& texts) {
    sum.add_word(texts.size());
    for (std::string const& text : texts) {
      sum.add_word(text.size());
      sum.add(text);
    }
  };
  for (sample const& s : samples) {
    sum.add_word(s.prompt.size());
    for (std::uint32_t const token : s.prompt) sum.add_word(token);
    for (auto const* texts : {&s.answers, &s.classes, &s.choices, &s.stop}) add(*texts);
    for (std::size_t const n : {s.new_tokens, s.characters, s.words}) sum.add_word(n);
  }
  return sum.hex();
}

struct drawn_samples {
  std::vector<sample> samples;
  std::vector<std::vector<std::vector<std::uint32_t>>> answers;  // [samples, answers, tokens], of likelihood
  std::size_t longest = 0;                                       // prompt

  explicit drawn_samples(std::vector<sample> all) : samples(std::move(all)) {
    for (sample const& s : samples) longest = std::max(longest, s.prompt.size());
  }
};

// Mean over the prompts, each fed by feed(session, its number, position plan); of likelihood where there is no metric.
template <class Feed>
double mean_worth(loaded_model const& m, policy_choice const& choice, shared_options const& with,
                  drawn_samples const& drawn, metric score, Feed feed) {
  position_plan const plan = plan_samples(with, choice, m, drawn.samples);
  session run(m.model, choice, session_of(plan, choice, m, with.executor, longest_of(drawn.samples)));
  double sum = 0;
  for (std::size_t i = 0; i < drawn.samples.size(); ++i) {
    sample const& s = drawn.samples[i];
    float const* const logits = feed(run, i, plan);
    sum += score == nullptr ? likelihood_behind(m, run, drawn.answers[i], logits)
                            : score({valid_text(answer_behind(m, run, s, logits)), s.answers, s.classes});
  }
  return sum / static_cast<double>(drawn.samples.size());
}

// A quarter of what the machine has.
std::size_t memory_for_prompts() {
  return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) / 4 * static_cast<std::size_t>(::sysconf(_SC_PAGE_SIZE));
}

// "": likelihood.
std::string metric_of(std::string const& asked, task const& t) {
  if (asked == "likelihood") return "";
  std::string const name = asked == "score" ? t.metrics.front() : asked == "exact" ? "exact_match" : asked;
  std::string known;
  for (std::string const& one : metric_names()) {
    if (one == name) return name;
    known += ", " + one;
  }
  throw usage_error("--metric is '" + asked + "'; give likelihood, score (here " + t.metrics.front() + "), exact" +
                    known);
}

head_task sampled_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  task const asked = find_task(o);
  std::string const name = metric_of(o.metric, asked);
  auto const drawn = std::make_shared<drawn_samples>(draw_samples(m, o, asked));
  if (name.empty())
    for (sample const& s : drawn->samples) drawn->answers.push_back(tokens_of_answers(*m.text, s));
  head_task task;
  task.description = json_object({{"task", asked.source.empty() ? o.task : "prompts"},
                                  {"metric", name.empty() ? "likelihood" : name},
                                  {"prompts", drawn->samples.size()},
                                  {"longest", drawn->longest},
                                  {"decode_first_token", o.decode_first_token},
                                  {"drawn", fingerprint(drawn->samples)}})
                         .text();
  shared_options with = shared;
  with.decode_first_token = o.decode_first_token;
  metric const score = name.empty() ? nullptr : find_metric(name, "--metric");
  task.value = [&m, drawn, with, score](policy_choice const& choice) {
    return mean_worth(m, choice, with, *drawn, score, [&](session& run, std::size_t i, position_plan const& plan) {
      return feed_sample(run, drawn->samples[i], plan, with.decode_first_token);
    });
  };
  auto const kept = std::make_shared<std::map<std::pair<std::uint32_t, std::uint32_t>, fed_prompts>>();
  task.worth = [&m, drawn, with, score, kept](coalition const& members, head_window const& window) {
    auto const fed = kept->try_emplace({window.sinks, window.recent}, m, with, window, drawn->samples.size(),
                                       memory_for_prompts() / (kept->size() + 1));
    policy_choice const choice = keep_heads(members, window);
    std::size_t const tokens = longest_of(drawn->samples);
    return mean_worth(m, choice, with, *drawn, score, [&](session& run, std::size_t i, position_plan const& plan) {
      return feed_sample(run, drawn->samples[i], with.decode_first_token,
                         [&](std::vector<std::uint32_t> const& prompt) {
                           return fed.first->second.feed(run, i, prompt, members, plan, tokens);
                         });
    });
  };
  task.policies = [drawn](shared_options const& given) { return policies_of(given, drawn->longest); };
  return task;
}

head_task text_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  if (o.text.empty()) throw usage_error("--task is " + o.task + "; give its --text");
  if (o.metric != "likelihood") throw usage_error("--metric is '" + o.metric + "'; a text has its likelihood alone");
  auto const text = std::make_shared<windowed_text>(
      cut_into_windows(m, read_text_file("--text", o.text), o.tokens, o.window, o.from));
  fnv1a drawn;
  for (std::uint32_t const t : text->tokens) drawn.add_word(t);
  head_task task;
  task.description = json_object({{"task", "text"},
                                  {"metric", o.metric},
                                  {"windows", text->windows()},
                                  {"longest", text->longest},
                                  {"from", o.from},
                                  {"decode_first_token", o.decode_first_token},
                                  {"tokens", drawn.hex()}})
                         .text();
  shared_options with = shared;
  with.decode_first_token = o.decode_first_token;
  task.value = [&m, text, with, from = o.from](policy_choice const& choice) {
    position_plan const plan = plan_positions(with, choice, m, text->longest - 1, from);
    return 1 / predict(m, choice, plan, *text, from, with.executor, [](std::size_t) {}).perplexity();
  };
  task.worth = [value = task.value](coalition const& members, head_window const& window) {
    return value(keep_heads(members, window));
  };
  task.policies = [from = o.from](shared_options const& asked) { return policies_of(asked, from); };
  return task;
}

}  // namespace

void add_sample_options(command_line& line, task_options& o) {
  line.add("--task,--tasks", o.task,
           "One of lab's: passkey, needle, multi_key:8 ..., a task file (.json), one that is shipped, or a file of "
           "{\"prompt\": ..., \"answer\": ...} a line (.jsonl)")
      .shows_default();
  line.add("--prompts", o.prompts, "Prompts (20; of a file all its rows)");
  line.add("--length", o.length, "Tokens of a prompt and its answer, at most (300; of a file its own)");
  line.add("--depths", o.depths, "Places of what is asked for in the prompt").shows_default();
  line.add("--task-seed", o.seed, "Seed of the prompts").shows_default();
  line.add("--haystack", o.haystack, "Text file in place of drawn filler");
  line.add("--data", o.data, "Data of the task file, in place of the path in it");
}

void add_task_options(command_line& line, task_options& o) {
  add_sample_options(line, o);
  line.add("--metric", o.metric,
           "likelihood of the answer or text; score: the task's own metric; exact; or any metric, of what is written")
      .shows_default();
  line.add("--text", o.text, "Of --task text, how well a text is predicted: text file (UTF-8)");
  line.add("--tokens", o.tokens, "text: the first N tokens, BOS included; 0 for all").shows_default();
  line.add("--window", o.window, "text: tokens of a window").shows_default();
  line.add("--from", o.from, "text: tokens of a window that are its prompt; what follows counts").shows_default();
  line.add("--decode-first-token", o.decode_first_token,
           "Feed the last token of a prompt alone, so that the first that follows depends on what was kept");
}

task find_task(task_options const& o) {
  return find_task(o.task, {o.haystack.empty() ? "" : read_text_file("--haystack", o.haystack), o.data});
}

std::vector<sample> draw_samples(loaded_model const& m, task_options const& o, task const& asked) {
  if (o.depths < 1) throw usage_error("--depths is 0; give at least 1");
  if (o.prompts == 0u) throw usage_error("--prompts is 0; give at least 1");
  bool const generated = asked.source.empty();
  std::size_t const count = o.prompts.value_or(generated ? 20 : std::numeric_limits<std::size_t>::max());
  std::size_t const length = o.length != 0 ? o.length : generated ? 300 : asked.usual_length;
  return asked.draw(*m.text, {o.seed, count, length, o.depths});
}

head_task make_head_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  return o.task == "text" || o.task == "perplexity" ? text_task(m, shared, o) : sampled_task(m, shared, o);
}

}  // namespace programs
