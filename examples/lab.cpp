// Policies side by side: every policy at every budget over every task, in one table and one picture.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <common/dot_chart.hpp>
#include <common/json_output.hpp>
#include <common/output_file.hpp>
#include <common/passkey_task.hpp>
#include <common/perplexity_task.hpp>
#include <common/progress.hpp>
#include <common/result_log.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::vector<std::string> tasks;
  std::string text;
  std::uint64_t tokens = 4096, window = 0, from = 1;
  std::uint64_t prompts = 25, length = 1000, depths = 5, jobs = 0;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  add_prompt_options(line, a.shared);
  line.add("--tasks", a.tasks, "passkey, perplexity or both (passkey, and perplexity if there is a --text)")
      .separated_by_commas();
  line.add("--text", a.text, "perplexity: text file (UTF-8)");
  line.add("--tokens", a.tokens, "perplexity: of the text the first N tokens, BOS included; 0 for all").shows_default();
  line.add("--window", a.window, "perplexity: tokens of a window (the model's positions)");
  line.add("--from", a.from, "perplexity: first token of a window that counts").shows_default();
  line.add("--length", a.length, "passkey: tokens of a prompt and its answer, at most").shows_default();
  line.add("--prompts", a.prompts, "passkey: prompts for each policy and budget, the same for all").shows_default();
  line.add("--depths", a.depths, "passkey: places of the key in the prompt").shows_default();
  line.add("--jobs", a.jobs, "Runs at once (as many as the machine has threads); they share it, which tokens/s shows");
  line.add("--json", a.as_json, "Print one JSON object a run, in place of the table");
  line.example(
      "lab --text stories.txt --out results\n"
      "Every policy there is at 12, 25 and 50 %. --out keeps lab.jsonl, a line a run: started again, lab goes on "
      "where\n"
      "it stopped. It writes lab.csv and lab.svg as well. P% is of --length, and of the window. Policies that only "
      "cut\n"
      "prompts have no perplexity: a window is fed token by token.");
}

// One policy at one budget over one task.
struct run {
  std::string task, budget;  // as it was asked for; "" if the policy keeps everything
  policy_choice choice;
  position_plan plan;
  std::string key;     // what was run, as JSON: equal text, equal run
  std::string result;  // "" until it is done
};

// What the tasks need of the model and the arguments.
struct tasks {
  std::optional<passkey_set> passkeys;
  std::optional<windowed_text> text;
};

std::string key_of(arguments const& a, run const& r) {
  auto const common = [&](json_value const& task) {
    return json_object({{"task", r.task},
                        {"policy", r.choice.name},
                        {"budget", r.choice.bounded() ? json_value(r.choice.slots()) : nullptr},
                        {"set", a.shared.sets},
                        {"storage", r.choice.storage},
                        {"positions", name_of(r.plan.stand)},
                        {"layout", a.shared.layout},
                        {"bound", a.shared.bound},
                        {"pin", a.shared.pin},
                        {"first_piece", r.plan.first_piece},
                        {"piece", r.plan.piece},
                        {"model", a.shared.model},
                        {"seed", a.shared.seed},
                        {"with", task}})
        .text();
  };
  if (r.task == "passkey")
    return common(json_object({{"length", a.length}, {"prompts", a.prompts}, {"depths", a.depths}}));
  return common(json_object({{"text", a.text}, {"tokens", a.tokens}, {"window", a.window}, {"from", a.from}}));
}

// Runs one, and returns its result as JSON.
std::string result_of(loaded_model const& m, arguments const& a, tasks const& t, run const& r,
                      std::atomic<long long>& done) {
  if (r.task == "passkey") {
    passkey_answers const found = find_passkeys(m, r.choice, r.plan, *t.passkeys, a.shared.executor, [&] { ++done; });
    std::vector<double> by_depth;
    std::size_t tokens = 0;
    for (std::size_t d = 0; d < t.passkeys->depths; ++d) by_depth.push_back(found.accuracy(*t.passkeys, d));
    for (passkey_prompt const& p : t.passkeys->prompts) tokens += p.tokens.size();
    return json_object({{"score", found.accuracy(*t.passkeys)},
                        {"by_depth", by_depth},
                        {"tokens", tokens},
                        {"seconds", found.seconds},
                        {"cache_bytes", found.memory.cache()},
                        {"bookkeeping_bytes", found.memory.bookkeeping},
                        {"workspace_bytes", found.memory.workspace},
                        {"compression", found.saved.vectors},
                        {"compression_with_bookkeeping", found.saved.with_bookkeeping}})
        .text();
  }
  prediction const p = predict(m, r.choice, r.plan, *t.text, a.from, a.shared.executor, [](std::size_t) {});
  ++done;
  return json_object({{"score", p.perplexity()},
                      {"mean_nll", p.mean_nll},
                      {"scored", p.scored},
                      {"tokens", t.text->fed()},
                      {"seconds", p.seconds},
                      {"cache_bytes", p.memory.cache()},
                      {"bookkeeping_bytes", p.memory.bookkeeping},
                      {"workspace_bytes", p.memory.workspace},
                      {"compression", p.saved.vectors},
                      {"compression_with_bookkeeping", p.saved.with_bookkeeping}})
      .text();
}

// Runs what is not done yet, `jobs` at once. The first error ends all of them; what is done is in the log.
void run_all(loaded_model const& m, arguments const& a, tasks const& t, std::vector<run>& runs, result_log& log) {
  std::vector<run*> open;
  long long steps = 0;
  for (run& r : runs) {
    if (auto const known = log.find(r.key)) {
      r.result = *known;
      continue;
    }
    open.push_back(&r);
    steps += r.task == "passkey" ? static_cast<long long>(a.prompts) : 1;
  }
  std::atomic<std::size_t> next{0};
  std::atomic<long long> done{0};
  std::mutex shared;
  std::exception_ptr wrong;
  progress shown("steps", steps);
  auto const work = [&] {
    for (std::size_t i = next++; i < open.size(); i = next++) {
      try {
        run& r = *open[i];
        r.result = result_of(m, a, t, r, done);
        log.add(r.key, r.result);
        std::lock_guard const held(shared);
        shown.at(done, r.choice.name + " " + r.budget + " " + r.task);
      } catch (...) {
        std::lock_guard const held(shared);
        if (!wrong) wrong = std::current_exception();
        next = open.size();
      }
    }
  };
  std::size_t const wanted =
      a.jobs != 0 ? static_cast<std::size_t>(a.jobs) : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min(wanted, open.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& one : threads) one.join();
  if (wrong) std::rethrow_exception(wrong);
}

// A line of the table: one policy at one budget, all tasks.
struct line_of_results {
  std::string policy, budget;
  run const* passkey = nullptr;
  run const* perplexity = nullptr;

  run const& any() const { return passkey != nullptr ? *passkey : *perplexity; }
};

std::vector<line_of_results> as_lines(std::vector<run> const& runs) {
  std::vector<line_of_results> lines;
  for (run const& r : runs) {
    auto at = std::find_if(lines.begin(), lines.end(),
                           [&](line_of_results const& l) { return l.policy == r.choice.name && l.budget == r.budget; });
    if (at == lines.end()) at = lines.insert(at, {r.choice.name, r.budget});
    (r.task == "passkey" ? at->passkey : at->perplexity) = &r;
  }
  return lines;
}

double number(run const* r, char const* field) {
  return r == nullptr ? std::numeric_limits<double>::quiet_NaN() : result_log::number(r->result, field);
}
double rate(run const* r) { return number(r, "tokens") / number(r, "seconds"); }

table as_table(std::vector<line_of_results> const& lines) {
  table t({"policy", "budget", "slots", "pass keys", "perplexity", "cache KiB", "of it bookkeeping", "prompt tokens/s",
           "decode tokens/s"});
  for (line_of_results const& l : lines) {
    run const& r = l.any();
    t.add({l.policy, l.budget.empty() ? "-" : l.budget, r.choice.bounded() ? std::to_string(r.choice.slots()) : "-",
           l.passkey == nullptr ? "-" : fixed(100 * number(l.passkey, "score"), 1) + " %",
           fixed(number(l.perplexity, "score"), 4), fixed(number(&r, "cache_bytes") / 1024, 1),
           fixed(100 * number(&r, "bookkeeping_bytes") / number(&r, "cache_bytes"), 1) + " %",
           fixed(rate(l.passkey), 0), fixed(rate(l.perplexity), 0)});
  }
  return t;
}

// A row a policy, best first: by pass keys found, then by perplexity, each over all budgets.
std::string as_picture(arguments const& a, std::vector<line_of_results> const& lines,
                       std::vector<std::string> const& budgets) {
  double const none = std::numeric_limits<double>::quiet_NaN();
  struct row {
    std::string name;
    std::vector<double> found, perplexity;
    double bytes, speed;
  };
  std::vector<row> rows;
  dot_chart chart;
  dot_measure found{.title = "pass keys found, %", .low = 0, .high = 100};
  dot_measure text{.title = "perplexity", .log = true};
  for (line_of_results const& l : lines) {
    if (l.budget.empty() && l.policy != "full") continue;  // without a budget there is no place for it
    if (l.budget.empty()) {
      if (l.passkey != nullptr) found.reference = 100 * number(l.passkey, "score");
      text.reference = number(l.perplexity, "score");
      chart.reference_label = l.policy + ": everything kept";
      continue;
    }
    auto at = std::find_if(rows.begin(), rows.end(), [&](row const& r) { return r.name == l.policy; });
    if (at == rows.end())
      at =
          rows.insert(at, {l.policy, std::vector(budgets.size(), none), std::vector(budgets.size(), none), none, none});
    auto const s = static_cast<std::size_t>(std::find(budgets.begin(), budgets.end(), l.budget) - budgets.begin());
    at->found[s] = 100 * number(l.passkey, "score");
    at->perplexity[s] = number(l.perplexity, "score");
    if (s == budgets.size() / 2) {
      at->bytes = number(&l.any(), "cache_bytes");
      at->speed = rate(l.perplexity != nullptr ? l.perplexity : l.passkey);
    }
  }
  auto const sum = [](std::vector<double> const& values, double missing) {
    double all = 0;
    for (double const v : values) all += v == v ? v : missing;
    return all;
  };
  std::stable_sort(rows.begin(), rows.end(), [&](row const& x, row const& y) {
    double const fx = sum(x.found, 0), fy = sum(y.found, 0);
    return fx != fy ? fx > fy : sum(x.perplexity, 0) < sum(y.perplexity, 0);
  });
  text_measure bytes{"KiB at " + budgets[budgets.size() / 2], {}}, speed{"tokens/s", {}};
  for (row const& r : rows) {
    chart.rows.push_back(r.name);
    found.values.push_back(r.found);
    text.values.push_back(r.perplexity);
    bytes.values.push_back(fixed(r.bytes / 1024, 0));
    speed.values.push_back(fixed(r.speed, 0));
  }
  for (std::string const& b : budgets) chart.series.push_back("budget " + b);
  bool const both = lines.front().passkey != nullptr && lines.front().perplexity != nullptr;
  chart.title = lines.front().passkey == nullptr
                    ? "Perplexity by policy and budget"
                    : "Pass keys in prompts of " + std::to_string(a.length) + " tokens" +
                          (both ? ", and perplexity, by policy and budget" : ", by policy and budget");
  if (lines.front().passkey != nullptr) chart.measures.push_back(found);
  if (lines.front().perplexity != nullptr) chart.measures.push_back(text);
  chart.texts = {bytes, speed};
  return draw(chart);
}

std::vector<std::string> names_of_all() {
  std::vector<std::string> names;
  for (kvsift::catalogue_entry const& e : kvsift::catalogue) names.emplace_back(e.name);
  return names;
}

int lab(arguments a) {
  if (a.shared.policies.empty()) a.shared.policies = names_of_all();
  if (a.shared.budgets.empty()) a.shared.budgets = {"12%", "25%", "50%"};
  if (a.tasks.empty())
    a.tasks = a.text.empty() ? std::vector<std::string>{"passkey"} : std::vector<std::string>{"passkey", "perplexity"};
  for (std::string const& task : a.tasks) {
    if (task != "passkey" && task != "perplexity")
      throw usage_error("--tasks is '" + task + "'; give passkey, perplexity or both");
    if (task == "perplexity" && a.text.empty()) throw usage_error("--tasks is perplexity; give its --text");
  }
  threads_of(a.shared.executor);
  std::string const words = a.text.empty() ? "" : read_text_file("--text", a.text);
  loaded_model const m = load(a.shared);

  tasks t;
  std::vector<run> runs;
  for (std::string const& task : a.tasks) {
    bool const passkey = task == "passkey";
    if (passkey)
      t.passkeys = draw_passkeys(m, a.shared.seed, a.prompts, a.depths, a.length);
    else
      t.text = cut_into_windows(m, words, a.tokens, a.window, a.from);
    std::uint64_t const base = passkey ? a.length : t.text->longest;
    for (std::string const& budget : a.shared.budgets) {
      shared_options one = a.shared;
      one.budgets = {budget};
      for (policy_choice& choice : choose_all(one, base, passkey ? t.passkeys->longest : 1)) {
        bool const cuts_prompts = choice.made.grows() || choice.made.value.budget.measured();
        if (!passkey && choice.made.value.facts().moments != kvsift::moment{} && cuts_prompts) continue;  // a window has no prompt
        run r{task, choice.bounded() ? budget : "", {}, {}, {}, {}};
        r.plan = passkey ? plan_passkeys(one, choice, m, *t.passkeys)
                         : plan_positions(one, choice, m, t.text->longest - 1, 1);
        r.choice = std::move(choice);
        r.key = key_of(a, r);
        bool const there = std::any_of(runs.begin(), runs.end(), [&](run const& other) { return other.key == r.key; });
        if (!there) runs.push_back(std::move(r));
      }
    }
  }

  std::optional<output_file> csv, picture;
  if (!a.shared.out.empty()) {
    make_output_folder(a.shared.out);
    csv.emplace("--out", a.shared.out + "/lab.csv");
    picture.emplace("--out", a.shared.out + "/lab.svg");
  }
  result_log log(a.shared.out.empty() ? "" : a.shared.out + "/lab.jsonl");
  run_all(m, a, t, runs, log);

  std::vector<line_of_results> const lines = as_lines(runs);
  std::string objects;
  for (run const& r : runs) objects += "{\"run\":" + r.key + ",\"result\":" + r.result + "}\n";
  if (csv) {
    csv->write(as_table(lines).csv());
    picture->write(as_picture(a, lines, a.shared.budgets));
    csv->commit();
    picture->commit();
  }
  print_now(a.as_json ? objects : as_table(lines).aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("lab", [&] {
    command_line line("Policies side by side: every policy at every budget over every task.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return lab(a);
  });
}
