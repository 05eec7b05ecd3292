#include <common/boundary.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include <common/confidence.hpp>
#include <common/json_output.hpp>
#include <common/lab_rows.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/table.hpp>
#include <common/tasks/answer.hpp>
#include <kvsift/core/check.hpp>

namespace programs {

namespace {

constexpr double no_score = std::numeric_limits<double>::quiet_NaN();

double share_of(std::string const& option, std::string const& text) {
  char* end = nullptr;
  double const percent = std::strtod(text.c_str(), &end);
  if (text.empty() || std::string(end) != "%" || !(percent > 0 && percent < 100))
    throw usage_error(option + " is '" + text + "'; give P% with P above 0 and below 100");
  return percent / 100;
}

double mean_of(std::vector<double> const& scores) {
  double sum = 0;
  for (double const s : scores) sum += s;
  return sum / static_cast<double>(scores.size());
}

// A budget that was tried.
struct trial {
  std::string budget;
  std::uint32_t slots = 0;
  double score = no_score;
  loss lost{no_score, no_score};
  bool passes = false;
  std::string refused{};  // why the policy cannot have it
};

// What a policy needs at a task.
struct boundary {
  std::string policy, task;
  std::uint64_t length = 0;
  std::size_t samples = 0;
  double full = 0;
  std::vector<trial> tried;  // from the smallest budget on

  trial const* found() const {
    auto const at = std::find_if(tried.begin(), tried.end(), [](trial const& t) { return t.passes; });
    return at == tried.end() ? nullptr : &*at;
  }
};

struct search {
  boundary_options const& o;
  lab_options full;  // what is not the policy's
  loaded_model const& m;
  double within, confidence, each;  // each: of a single budget
  std::size_t budgets;

  std::string budget(std::size_t i) const { return std::to_string(std::min<std::size_t>(100, i * o.step)) + "%"; }

  lab_run run_of(lab_options const& a, samples_of_task const& t, std::string const& name, std::string const& policy,
                 std::string const& given) const {
    shared_options one = a.shared;
    one.policies = {policy};
    one.budgets.clear();
    if (!given.empty()) one.budgets = {given};
    std::uint64_t base = t.length, prompt = 1;
    for (sample const& s : t.samples) {
      prompt = std::max<std::uint64_t>(prompt, s.prompt.size());
      if (t.length == 0) base = std::max<std::uint64_t>(base, s.tokens());
    }
    lab_run r{name, t.length, t.fingerprint(t.samples.size()), t.fingerprint(1), given};
    r.choice = choose_one(one, base, prompt);
    r.plan = plan_samples(one, r.choice, m, t.samples);
    r.folder = folder_of(a, r);
    r.command = command_of(a, r);
    return r;
  }

  std::vector<double> scores_of(lab_options const& a, samples_of_task const& t, lab_run const& r, progress& shown,
                                long long& done) const {
    std::string const by = o.metric.empty() ? t.asked.metrics.front() : o.metric;
    lab_rows const all = rows_of(m, a, t, r, [&](std::size_t more) {
      shown.at(done += static_cast<long long>(more), r.choice.name + " " + r.budget + " " + r.task);
    });
    std::vector<double> scores;
    for (prediction_row const& row : all.rows) scores.push_back(find_metric(by, "--metric")(row.judged));
    return scores;
  }

  trial tried(samples_of_task const& t, std::string const& name, std::string const& policy, std::string const& given,
              std::vector<double> const& with, progress& shown, long long& done) const {
    trial one{given};
    lab_run r;
    try {
      r = run_of(o.lab, t, name, policy, given);
    } catch (std::exception const& wrong) {
      if (given == "100%") throw;  // nothing to do with how small it is
      one.refused = wrong.what();
      return one;
    }
    one.slots = r.choice.slots();
    std::vector<double> const scores = scores_of(o.lab, t, r, shown, done);
    std::vector<double> differences;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      differences.push_back(with[i] - scores[i]);
    }
    one.score = mean_of(scores);
    one.lost = highest_loss(differences, each);
    one.passes = one.lost.at_most <= within;
    return one;
  }

  boundary find(samples_of_task const& t, std::string const& name, std::string const& policy, progress& shown,
                long long& done) const {
    boundary b{policy, name, t.length, t.samples.size(), 0, {}};
    std::vector<double> const with = scores_of(full, t, run_of(full, t, name, "full", ""), shown, done);
    b.full = mean_of(with);
    std::map<std::size_t, trial> all;
    smallest_passing(
        budgets, [&](std::size_t i) { return (all[i] = tried(t, name, policy, budget(i), with, shown, done)).passes; });
    for (auto& [i, one] : all) b.tried.push_back(std::move(one));
    return b;
  }
};

std::string percent(double share) { return std::isnan(share) ? "-" : fixed(100 * share, 1) + " %"; }

table as_table(std::vector<boundary> const& all) {
  table t({"policy", "task", "prompts", "full cache", "smallest budget", "slots", "score", "lost", "at most", "tried"});
  for (boundary const& b : all) {
    trial const* const found = b.found();
    std::string tried;
    for (trial const& one : b.tried) tried += (tried.empty() ? "" : " ") + one.budget + (one.passes ? "" : "-");
    t.add({shown_name(b.policy), task_label(b.task) + (b.length > 0 ? " " + std::to_string(b.length) : ""),
           std::to_string(b.samples), percent(b.full), found != nullptr ? found->budget : "-",
           found != nullptr ? std::to_string(found->slots) : "-", percent(found != nullptr ? found->score : no_score),
           percent(found != nullptr ? found->lost.mean : no_score), percent(found != nullptr ? found->lost.at_most : no_score),
           tried});
  }
  return t;
}

std::string as_json(std::vector<boundary> const& all, search const& s) {
  std::string lines;
  for (boundary const& b : all) {
    std::vector<json_value> tried;
    for (trial const& one : b.tried)
      tried.push_back(json_object({{"budget", one.budget},
                                   {"slots", one.slots},
                                   {"score", one.score},
                                   {"lost", one.lost.mean},
                                   {"at_most", one.lost.at_most},
                                   {"within", one.passes},
                                   {"refused", one.refused.empty() ? json_value(nullptr) : one.refused}}));
    trial const* const found = b.found();
    lines += json_line({{"policy", shown_name(b.policy)},
                        {"task", b.task},
                        {"length", b.length},
                        {"prompts", b.samples},
                        {"metric", s.o.metric.empty() ? json_value(nullptr) : s.o.metric},
                        {"within", s.within},
                        {"confidence", s.confidence},
                        {"confidence_of_each", s.each},
                        {"full", b.full},
                        {"budget", found != nullptr ? json_value(found->budget) : nullptr},
                        {"slots", found != nullptr ? json_value(found->slots) : nullptr},
                        {"tried", tried}});
  }
  return lines;
}

// The rule, for people.
std::string in_words(search const& s) {
  return "\nSmallest budget whose loss is at most " + fixed(100 * s.within, 1) + " points with " +
         fixed(100 * s.confidence, 1) +
         " % confidence: over the same prompts, score with the full\ncache minus score with "
         "the policy. \"at most\" is the upper bound of each budget at " +
         fixed(100 * s.each, 2) + " %, so that all of up to " + std::to_string(looks_at_most(s.budgets)) +
         "\ntogether hold at " + fixed(100 * s.confidence, 1) +
         " % (Bonferroni): exact for scores of 0 and 1 (prompts that "
         "got worse), else Student's.\nBisection takes it that more slots lose no more; - in \"tried\": not shown to "
         "be "
         "within it.\n";
}

}  // namespace

void add_boundary_options(command_line& line, boundary_options& o) {
  lab_options& a = o.lab;
  a.prompts = 100;
  add_shared_options(line, a.shared, true, "needed");
  add_prompt_options(line, a.shared);
  line.add("--tasks,--task", a.tasks, "One of lab's, but perplexity; several by commas (passkey)")
      .separated_by_commas();
  line.add("--within", o.within, "What may be lost of the full cache's score, in points, as P%").shows_default();
  line.add("--confidence", o.confidence, "That no more is lost, as P%").shows_default();
  line.add("--step", o.step, "Budgets are multiples of so many percent of the tokens").shows_default();
  line.add("--metric", o.metric, "Any metric (the task's own)");
  line.add("--length", a.lengths, {16, 0x7ffffffe},
           "Tokens of a prompt and its answer, at most (1000; of task files their own)");
  line.add("--prompts", a.prompts, "Prompts of a task, the same for every policy and budget").shows_default();
  line.add("--depths", a.depths, "Places of what is asked for in the prompt").shows_default();
  line.add("--haystack", a.haystack, "Text file in place of drawn filler");
  line.add("--data", a.data, "Data of the task file, in place of the path in it");
  line.add("--json", a.as_json, "Print one JSON object a policy and task, in place of the table");
  line.example(
      "lab boundary --policy snapkv,roco --tasks needle --within 5% --prompts 200 --out results\n"
      "results gets boundary.csv, boundary.jsonl, and a folder a budget and task as lab writes it: what is there is "
      "not\n"
      "run again.");
}

int find_boundaries(boundary_options o) {
  lab_options& a = o.lab;
  double const within = share_of("--within", o.within), confidence = share_of("--confidence", o.confidence);
  if (!a.shared.budgets.empty())
    throw usage_error("--budget is " + a.shared.budgets.front() + "; boundary looks for it, leave it out");
  if (a.shared.policies.empty()) throw usage_error("--policy is not given; give one that keeps a budget");
  if (o.step < 1 || o.step > 100) throw usage_error("--step is " + std::to_string(o.step) + "; give 1 to 100 percent");
  if (a.prompts < 1) throw usage_error("--prompts is 0; give at least 1");
  if (a.depths < 1) throw usage_error("--depths is 0; give at least 1");
  if (!o.metric.empty()) find_metric(o.metric, "--metric");
  if (a.tasks.empty()) a.tasks = {"passkey"};
  check_executor(a.shared.executor);
  task_sources const sources{a.haystack.empty() ? "" : read_text_file("--haystack", a.haystack), a.data};
  std::vector<task> tasks;
  for (std::string const& name : a.tasks) {
    if (name == "perplexity") throw usage_error("--tasks is perplexity; boundary compares answers, give another");
    tasks.push_back(find_task(name, sources));
    require_metrics(tasks.back().metrics, false, name + ": metrics");
  }
  loaded_model const m = load(a.shared);
  std::size_t const budgets = (100 + o.step - 1) / o.step;
  lab_options full = a;
  full.shared.sets.clear();
  full.shared.positions.clear();
  full.shared.modes.clear();
  full.shared.bound = "both";
  full.shared.pin.clear();
  search const s{
      o, full, m, within, confidence, 1 - (1 - confidence) / static_cast<double>(looks_at_most(budgets)), budgets};

  std::vector<std::pair<std::string, samples_of_task>> drawn;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    std::vector<std::uint64_t> lengths(a.lengths.begin(), a.lengths.end());
    if (lengths.empty()) lengths = {tasks[i].usual_length};
    for (std::uint64_t const length : lengths) {
      auto samples = tasks[i].draw(*m.text, {a.shared.seed, a.prompts, length, a.depths});
      if (double const least = highest_share(0, samples.size(), s.each); least > within) {
        auto const needed = static_cast<std::size_t>(std::ceil(std::log(1 - s.each) / std::log1p(-within)));
        throw usage_error("--prompts: " + std::to_string(samples.size()) + " of " + a.tasks[i] +
                          ", with none of them lost, show a loss of at most " + fixed(100 * least, 1) +
                          " points; give at least " + std::to_string(needed) + ", or a larger --within");
      }
      drawn.emplace_back(a.tasks[i], samples_of_task{tasks[i], length, std::move(samples)});
    }
  }
  result_files files(a.shared.out, {"boundary.csv", "boundary.jsonl"});
  long long rows = 0, done = 0;
  for (auto const& [name, t] : drawn)
    rows += static_cast<long long>(t.samples.size() * (1 + looks_at_most(budgets)) * a.shared.policies.size());
  progress shown("rows", rows);
  std::vector<boundary> all;
  for (auto const& [name, t] : drawn)
    for (std::string const& policy : a.shared.policies) all.push_back(s.find(t, name, policy, shown, done));
  shown.clear();
  if (files) files.commit({as_table(all).csv(), as_json(all, s)});
  print_now(a.as_json ? as_json(all, s) : as_table(all).aligned() + in_words(s));
  return 0;
}

}  // namespace programs
