#include <common/lab_experiment.hpp>

#include <algorithm>
#include <functional>
#include <set>
#include <thread>

#include <common/fnv1a.hpp>
#include <common/lab_result.hpp>
#include <common/progress.hpp>
#include <common/shared_work.hpp>
#include <common/tasks/result_folder.hpp>

namespace programs {

namespace {

std::vector<std::string> names_of_all() {
  std::vector<std::string> names;
  for (kvsift::catalogue_entry const& e : kvsift::catalogue) names.emplace_back(e.name);
  return names;
}

// The samples of every task at every length.
void draw_tasks(lab_part& part, std::string const& words) {
  lab_options const& a = part.asked;
  loaded_model const& m = *part.model;
  task_sources const sources{a.haystack.empty() ? "" : read_text_file("--haystack", a.haystack), a.data};
  for (std::string const& name : a.tasks) {
    if (name == "perplexity") {
      part.text = cut_into_windows(m, words, a.tokens, a.window, a.from);
      continue;
    }
    task const asked = find_task(name, sources);
    std::vector<std::uint64_t> lengths(a.lengths.begin(), a.lengths.end());
    if (lengths.empty()) lengths = {asked.usual_length};
    for (std::uint64_t const length : lengths) {
      if (part.drawn.count({name, length}) > 0) continue;
      auto samples = asked.draw(*m.text, {a.shared.seed, a.prompts, length, a.depths});
      part.drawn.emplace(std::pair(name, length), samples_of_task{asked, length, std::move(samples)});
    }
  }
}

// A policy alone that no budget bounds stands once.
std::vector<std::string> budgets_of(shared_options const& o, std::uint64_t base, std::uint64_t prompt) {
  if (o.policies.size() != 1) return o.budgets;
  policy_choice const choice = choose_policy(
      {o.policies.front(), o.sets, o.budgets.front(), o.pin, o.seed, base, o.bound, prompt});
  return choice.bounded() ? o.budgets : std::vector<std::string>{""};
}

// Every policy at every budget over one task.
void add_runs(lab_part& part, std::string const& name, std::uint64_t length, std::set<std::string>& known) {
  lab_options const& a = part.asked;
  loaded_model const& m = *part.model;
  bool const perplexity = name == "perplexity";
  std::vector<sample> const* const samples = perplexity ? nullptr : &part.drawn.at({name, length}).samples;
  std::uint64_t base = length, prompt = 1;
  std::string drawn_from, begins_with;
  if (perplexity) {
    base = part.text->longest;
    drawn_from = part.text->fingerprint();
  } else {
    drawn_from = part.drawn.at({name, length}).fingerprint(samples->size());
    begins_with = part.drawn.at({name, length}).fingerprint(1);
    for (sample const& s : *samples) {
      prompt = std::max<std::uint64_t>(prompt, s.prompt.size());
      if (length == 0) base = std::max<std::uint64_t>(base, s.tokens());
    }
  }
  for (std::string const& budget : budgets_of(a.shared, base, prompt)) {
    shared_options one = a.shared;
    one.budgets.clear();
    if (!budget.empty()) one.budgets = {budget};
    for (policy_choice& choice : choose_all(one, base, prompt)) {
      bool const cuts_prompts = choice.made.grows() || choice.made.value.budget.measured();
      if (perplexity && choice.made.value.facts().moments != kvsift::moment{} && cuts_prompts)
        continue;  // a window has no prompt
      lab_run r{name, length, drawn_from, begins_with, choice.bounded() ? budget : ""};
      r.plan = perplexity ? plan_positions(one, choice, m, part.text->longest - 1, 1)
                          : plan_samples(one, choice, m, *samples);
      r.choice = std::move(choice);
      r.key = key_of(a, r);
      r.folder = folder_of(a, r);
      r.command = command_of(a, r);
      if (known.insert(r.key).second) part.runs.push_back(std::move(r));
    }
  }
}

}  // namespace

bool complete(lab_options& a) {
  if (a.shared.policies.empty()) a.shared.policies = names_of_all();
  bool const full = a.shared.policies == std::vector<std::string>{"full"};
  if (a.shared.budgets.empty())
    a.shared.budgets = full ? std::vector<std::string>{""} : std::vector<std::string>{"12%", "25%", "50%"};
  if (a.tasks.empty())
    a.tasks = a.text.empty() ? std::vector<std::string>{"passkey"} : std::vector<std::string>{"passkey", "perplexity"};
  if (a.prompts < 1) throw usage_error("--prompts is 0; give at least 1");
  if (a.depths < 1) throw usage_error("--depths is 0; give at least 1");
  bool kept = false;
  for (std::string const& name : a.tasks) {
    if (name == "perplexity" && a.text.empty()) throw usage_error("--tasks is perplexity; give its --text");
    if (name != "perplexity") require_metrics(find_task(name, {{}, a.data}).metrics, a.commands, name + ": metrics");
    kept = kept || (name != "perplexity" && name != "passkey");
  }
  if (a.processes.devices.empty()) check_executor(a.shared.executor);  // else the children, each of its GPU
  return kept;
}

std::vector<lab_part> prepare(std::vector<lab_options> const& asked) {
  std::map<std::vector<std::string>, std::shared_ptr<loaded_model const>> models;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::string> folders;  // with what is in them
  std::set<std::string> known;
  std::vector<lab_part> parts;
  for (lab_options const& a : asked) {
    if (!a.text.empty() && texts.count(a.text) == 0) texts[a.text] = read_text_file("--text", a.text);
    auto& model = models[{a.shared.model, a.shared.tokenizer, a.shared.align}];
    if (!model) model = std::make_shared<loaded_model const>(load(a.shared));
    lab_part part{a, model};
    draw_tasks(part, a.text.empty() ? "" : texts[a.text]);
    for (std::string const& name : a.tasks) {
      if (name == "perplexity") add_runs(part, name, 0, known);
      for (auto const& [which, drawn] : part.drawn)
        if (which.first == name) add_runs(part, name, which.second, known);
    }
    for (lab_run const& r : part.runs) {
      if (r.folder.empty()) continue;
      std::string const key = folder_key_of(a, r);
      if (folders.emplace(r.folder, key).first->second != key)
        throw usage_error("two runs would share the folder '" + r.folder +
                          "' of answers, but are over other prompts; give the second another --out");
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

void run_all(std::vector<lab_part>& parts, run_sharing const& processes, result_log& log) {
  struct open_run {
    lab_part* part;
    lab_run* run;
  };
  std::vector<open_run> open;
  long long steps = 0;
  for (lab_part& part : parts)
    for (lab_run& r : part.runs) {
      if (log.find(r.key)) continue;
      open.push_back({&part, &r});
      steps += r.perplexity() ? 1 : static_cast<long long>(part.drawn.at({r.task, r.length}).samples.size());
    }
  bool const on_gpu = std::any_of(parts.begin(), parts.end(), [](lab_part const& p) { return p.asked.shared.executor == "cuda"; });
  if (on_gpu && processes.jobs > 1)
    throw usage_error("--jobs is " + std::to_string(processes.jobs) + "; with --executor cuda give --devices 0,1,..., a process each");
  if (!on_gpu && !processes.devices.empty()) throw usage_error("--devices is given, and no run is on a GPU; give --executor cuda");
  std::size_t wanted = std::max(1u, std::thread::hardware_concurrency());
  if (processes.jobs != 0) wanted = static_cast<std::size_t>(processes.jobs);
  else if (on_gpu) wanted = 1;
  progress shown("steps", steps);
  auto const work = [&](shared_counts& counts, bool first) {
    if (on_gpu) check_executor("cuda");
    full_attentions looked;
    auto const run_one = [&](open_run const& o) {
      lab_run const& r = *o.run;
      auto const tick = [&](std::size_t n) {
        counts.done += static_cast<long long>(n);
        if (first) shown.at(counts.done, r.choice.name + " " + r.budget + " " + r.task);
      };
      log.add(r.key, result_of(*o.part, r, looked, tick));
    };
    for (open_run const& o : open) {
      if (counts.stop) return;
      if (log.claim(o.run->key)) run_one(o);
    }
    if (!first) return;
    for (open_run const& o : open)  // what another process was at; if it was killed, it is ours
      if (!counts.stop && log.claim(o.run->key, true)) run_one(o);
  };
  auto devices = processes.devices;
  devices.resize(std::min(devices.size(), std::max<std::size_t>(1, open.size())));
  share_work(std::max<std::size_t>(1, std::min(wanted, open.size())), work, devices);
  for (lab_part& part : parts)
    for (lab_run& r : part.runs) r.result = log.find(r.key).value();
}

}  // namespace programs
