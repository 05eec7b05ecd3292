#include <common/head_task.hpp>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include <common/fnv1a.hpp>
#include <common/json_output.hpp>
#include <common/perplexity_task.hpp>
#include <common/recall_prompts.hpp>
#include <reference_model/model/metrics.hpp>

namespace programs {

namespace {

// Mean over the prompts of the geometric mean of the probabilities of the answer's tokens.
double answer_likelihood(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                         recall_set const& recall, std::string const& executor) {
  session run(m.model, choice, session_of(plan, choice, m, executor, recall.set.tokens()));
  double sum = 0;
  for (std::size_t i = 0; i < recall.answers.size(); ++i) {
    run.clear();
    float const* logits = feed_prompt(run, recall.set.prompts[i].tokens, plan);
    std::vector<std::uint32_t> const& answer = recall.answers[i];
    double nll = 0;
    for (std::size_t t = 0; t < answer.size(); ++t) {
      nll += reference_model::negative_log_likelihood(logits, m.config().vocab, answer[t]);
      if (t + 1 < answer.size()) logits = run.feed(answer[t]);
    }
    sum += std::exp(-nll / static_cast<double>(answer.size()));
  }
  return sum / static_cast<double>(recall.answers.size());
}

// Policies of the command line for prompts of `longest` tokens; the budget bounds the prompt.
std::vector<policy_choice> policies_of(shared_options o, std::uint64_t longest) {
  if (o.bound == "both") o.bound = "";
  return choose_all(o, longest, longest);
}

head_task recall_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  auto const recall = std::make_shared<recall_set>(recall_prompts(m, o));
  fnv1a drawn;  // of the tokens, whichever file they came from
  for (std::size_t i = 0; i < recall->answers.size(); ++i) {
    for (std::uint32_t const t : recall->set.prompts[i].tokens) drawn.add_word(t);
    for (std::uint32_t const t : recall->answers[i]) drawn.add_word(t);
  }
  head_task task;
  task.description = json_object({{"task", o.task == "passkey" ? "passkey" : "prompts"},
                                  {"metric", o.metric},
                                  {"prompts", recall->set.prompts.size()},
                                  {"longest", recall->set.longest},
                                  {"decode_first_token", o.decode_first_token},
                                  {"tokens", drawn.hex()}})
                         .text();
  shared_options with = shared;
  with.decode_first_token = o.decode_first_token;
  bool const exact = o.metric == "exact";
  task.value = [&m, recall, with, exact](policy_choice const& choice) {
    position_plan const plan = plan_passkeys(with, choice, m, recall->set);
    if (exact) return find_passkeys(m, choice, plan, recall->set, with.executor, [] {}).accuracy(recall->set);
    return answer_likelihood(m, choice, plan, *recall, with.executor);
  };
  task.policies = [recall](shared_options const& asked) { return policies_of(asked, recall->set.longest); };
  return task;
}

head_task text_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  if (o.text.empty()) throw usage_error("--task is text; give its --text");
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
  task.policies = [from = o.from](shared_options const& asked) { return policies_of(asked, from); };
  return task;
}

}  // namespace

void add_task_options(command_line& line, task_options& o) {
  line.add("--task", o.task,
           "What heads are worth something by: passkey, text, or a file of {\"prompt\": ..., \"answer\": ...} a line")
      .shows_default();
  line.add("--metric", o.metric, "likelihood of the answer or text, or exact: the share of answers that are written")
      .shows_default();
  line.add("--prompts", o.prompts, "passkey: prompts").shows_default();
  line.add("--length", o.length, "passkey: tokens of a prompt and its answer, at most").shows_default();
  line.add("--depths", o.depths, "passkey: places of the key in the prompt").shows_default();
  line.add("--task-seed", o.seed, "passkey: seed of the prompts").shows_default();
  line.add("--text", o.text, "text: text file (UTF-8)");
  line.add("--tokens", o.tokens, "text: the first N tokens, BOS included; 0 for all").shows_default();
  line.add("--window", o.window, "text: tokens of a window").shows_default();
  line.add("--from", o.from, "text: tokens of a window that are its prompt; what follows counts").shows_default();
  line.add("--decode-first-token", o.decode_first_token,
           "Feed the last token of a prompt alone, so that the first that follows depends on what was kept");
}

head_task make_head_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  if (o.metric != "likelihood" && o.metric != "exact")
    throw usage_error("--metric is '" + o.metric + "'; give likelihood or exact");
  if (o.task == "text") return text_task(m, shared, o);
  return recall_task(m, shared, o);
}

}  // namespace programs
