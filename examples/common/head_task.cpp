#include <common/head_task.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include <common/fnv1a.hpp>
#include <common/json_output.hpp>
#include <common/passkey_task.hpp>
#include <common/perplexity_task.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/model/metrics.hpp>

namespace programs {

namespace {

// Prompts with answers, and the tokens that write each answer.
struct recall_set {
  passkey_set set;
  std::vector<std::vector<std::uint32_t>> answers;
};

// The tokens that write an answer behind a text.
std::vector<std::uint32_t> answer_tokens(loaded_model const& m, std::string const& before, std::string const& answer) {
  std::vector<std::uint32_t> const first = m.text->encode(before, false), whole = m.text->encode(before + answer, false);
  if (whole.size() <= first.size() || !std::equal(first.begin(), first.end(), whole.begin())) return m.text->encode(answer, false);
  return {whole.begin() + static_cast<std::ptrdiff_t>(first.size()), whole.end()};
}

recall_set draw_recall(loaded_model const& m, task_options const& o) {
  recall_set recall{draw_passkeys(m, o.seed, o.prompts, o.depths, o.length), {}};
  for (passkey_prompt const& p : recall.set.prompts) recall.answers.push_back(answer_tokens(m, "is ", p.target));
  return recall;
}

recall_set read_prompts(loaded_model const& m, std::string const& path) {
  recall_set recall;
  passkey_set& set = recall.set;
  std::istringstream lines(read_text_file("--task", path));
  for (std::string line; std::getline(lines, line);) {
    auto const row = nlohmann::json::parse(line, nullptr, false);
    auto const is_text = [&](char const* field) { return row.is_object() && row.contains(field) && row[field].is_string() && !row[field].get<std::string>().empty(); };
    std::string const where = "line " + std::to_string(set.prompts.size() + 1);
    if (!is_text("prompt") || !is_text("answer")) throw reference_model::bad_file(path, where + R"( is no {"prompt": TEXT, "answer": TEXT})");
    std::string const prompt = row["prompt"];
    passkey_prompt p{0.5, m.text->encode(prompt), row["answer"]};
    recall.answers.push_back(answer_tokens(m, prompt, p.target));
    if (recall.answers.back().size() > passkey_answer_tokens)
      throw reference_model::bad_file(path, where + " has an answer of more than " + std::to_string(passkey_answer_tokens) + " tokens; give shorter ones");
    set.longest = std::max(set.longest, p.tokens.size());
    set.prompts.push_back(std::move(p));
  }
  if (set.prompts.empty()) throw reference_model::bad_file(path, "has no prompts; give a line for each");
  return recall;
}

// Mean over the prompts of the geometric mean of the probabilities of the answer's tokens.
double answer_likelihood(loaded_model const& m, policy_choice const& choice, position_plan const& plan, recall_set const& recall,
                         std::string const& executor) {
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
  auto const recall = std::make_shared<recall_set>(o.task == "passkey" ? draw_recall(m, o) : read_prompts(m, o.task));
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
  auto const text = std::make_shared<windowed_text>(cut_into_windows(m, read_text_file("--text", o.text), o.tokens, o.window, o.from));
  fnv1a drawn;
  for (std::uint32_t const t : text->tokens) drawn.add_word(t);
  head_task task;
  task.description =
      json_object({{"task", "text"}, {"metric", o.metric}, {"windows", text->windows()}, {"longest", text->longest}, {"from", o.from},
                   {"decode_first_token", o.decode_first_token}, {"tokens", drawn.hex()}})
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
  line.add("--task", o.task, "What heads are worth something by: passkey, text, or a file of {\"prompt\": ..., \"answer\": ...} a line").shows_default();
  line.add("--metric", o.metric, "likelihood of the answer or text, or exact: the share of answers that are written").shows_default();
  line.add("--prompts", o.prompts, "passkey: prompts").shows_default();
  line.add("--length", o.length, "passkey: tokens of a prompt and its answer, at most").shows_default();
  line.add("--depths", o.depths, "passkey: places of the key in the prompt").shows_default();
  line.add("--task-seed", o.seed, "passkey: seed of the prompts").shows_default();
  line.add("--text", o.text, "text: text file (UTF-8)");
  line.add("--tokens", o.tokens, "text: the first N tokens, BOS included; 0 for all").shows_default();
  line.add("--window", o.window, "text: tokens of a window").shows_default();
  line.add("--from", o.from, "text: tokens of a window that are its prompt; what follows counts").shows_default();
  line.add("--decode-first-token", o.decode_first_token, "Feed the last token of a prompt alone, so that the first that follows depends on what was kept");
}

head_task make_head_task(loaded_model const& m, shared_options const& shared, task_options const& o) {
  if (o.metric != "likelihood" && o.metric != "exact") throw usage_error("--metric is '" + o.metric + "'; give likelihood or exact");
  if (o.task == "text") return text_task(m, shared, o);
  bool const file = o.task.find_first_of("/.") != std::string::npos;
  if (o.task != "passkey" && !file) throw usage_error("--task is '" + o.task + "'; give passkey, text or a file of prompts, FILE.jsonl");
  return recall_task(m, shared, o);
}

}  // namespace programs
