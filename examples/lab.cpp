// Policies side by side: every policy at every budget over every task, in one table and one picture; and one policy
// over one task, with everything it answered kept to be looked at and scored again.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <common/json_output.hpp>
#include <common/lab_options.hpp>
#include <common/lab_run.hpp>
#include <common/output_file.hpp>
#include <common/perplexity_task.hpp>
#include <common/progress.hpp>
#include <common/result_log.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <common/tasks/answer.hpp>
#include <common/tasks/result_folder.hpp>
#include <common/tasks/split.hpp>
#include <common/tasks/task.hpp>

namespace {

using namespace programs;

using arguments = lab_options;

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  add_prompt_options(line, a.shared);
  line.add("--tasks,--task", a.tasks,
           "perplexity, the generated passkey, needle, multi_key, multi_value, key_value, variable_tracking, "
           "common_words, "
           "reconstruction, or task files (passkey, and perplexity if there is a --text)")
      .separated_by_commas();
  line.add("--text", a.text, "perplexity: text file (UTF-8)");
  line.add("--tokens", a.tokens, "perplexity: of the text the first N tokens, BOS included; 0 for all").shows_default();
  line.add("--window", a.window, "perplexity: tokens of a window (the model's positions)");
  line.add("--from", a.from, "perplexity: first token of a window that counts").shows_default();
  line.add("--length", a.lengths, {16, 0x7ffffffe},
           "Tokens of a prompt and its answer, at most; several by commas (1000; of task files their own)");
  line.add("--prompts", a.prompts, "Prompts of a task for each policy and budget, the same for all").shows_default();
  line.add("--depths", a.depths, "Places of what is asked for in the prompt").shows_default();
  line.add("--haystack", a.haystack, "Text file in place of drawn filler; reconstruction writes it again");
  line.add("--data", a.data, "Data of the task file, in place of the path in it");
  line.add("--jobs", a.jobs, "Runs at once (as many as the machine has threads); they share it, which tokens/s shows");
  line.add("--allow-commands", a.commands, "Run the metrics command:COMMAND of task files");
  line.add("--json", a.as_json, "Print one JSON object a run, in place of the table");
  line.example(
      "lab --text stories.txt --out results\n"
      "Every policy there is at 12, 25 and 50 %. --out keeps lab.jsonl, a line a run: started again, lab goes on "
      "where\n"
      "it stopped. It writes lab.csv and lab.svg as well. P% is of --length, and of the window. Policies that only "
      "cut\n"
      "prompts have no perplexity: a window is fed token by token.\n\n"
      "lab --policy lsh --set bits=8 --tasks needle,common_words --budget 50%\n"
      "results/lsh-50%-bits=8/needle-1000/ gets predictions.jsonl, metrics.json, memory.json, and run.json: what was "
      "run.\n"
      "Tasks beyond passkey and perplexity write to results unless --out says otherwise.\n\n"
      "lab score results [--metrics f1,rouge_l] [--allow-commands]\n"
      "Scores what is in the folder again; the model is not run.\n\n"
      "lab split data.jsonl --valid 20% [--seed 1] [--out FOLDER]\n"
      "Writes data-valid.jsonl and data-test.jsonl.");
}

// What the tasks need of the model and the arguments.
struct samples_of_task {
  task asked;
  std::uint64_t length;
  std::vector<sample> samples;

  // Tells tasks, data and versions of them apart by what they ask first. FNV-1a.
  std::string fingerprint() const {
    std::uint64_t hash = 0xcbf29ce484222325u;
    auto const add = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
    for (char const c : asked.source) add(static_cast<unsigned char>(c));
    for (std::uint32_t const token : samples.front().prompt) add(token);
    for (std::string const& answer : samples.front().answers)
      for (char const c : answer) add(static_cast<unsigned char>(c));
    return std::to_string(hash);
  }
};
struct tasks {
  std::map<std::pair<std::string, std::uint64_t>, samples_of_task> drawn;  // by task and length
  std::optional<windowed_text> text;
};

// Answers what is not answered yet, and returns the result as JSON.
std::string result_of_task(loaded_model const& m, arguments const& a, samples_of_task const& t, lab_run const& r,
                           std::atomic<long long>& done) {
  result_folder folder(r.folder, r.task, t.asked.metrics, folder_key_of(a, r), r.command);
  std::size_t const there = std::min(folder.rows().size(), t.samples.size());
  done += static_cast<long long>(there);
  task_answers const answers = answer_all(m, r.choice, r.plan, t.samples, there, a.shared.executor,
                                          a.shared.decode_first_token, [&](std::size_t i, answered const& one) {
                                            folder.add(row_of(t.samples[i], one));
                                            ++done;
                                          });
  folder.finish(answers.memory);
  std::vector<prediction_row> const rows(folder.rows().begin(),
                                         folder.rows().begin() + static_cast<std::ptrdiff_t>(t.samples.size()));
  std::size_t tokens = 0;
  double seconds = 0;
  compression saved;
  for (prediction_row const& row : rows) {
    tokens += row.tokens;
    seconds += row.seconds;
    saved += row.saved;
  }
  saved /= static_cast<double>(rows.size());
  std::vector<double> depths, by_depth;
  for (auto const& [depth, score] : score_by_depth(rows, t.asked.metrics.front())) {
    depths.push_back(depth);
    by_depth.push_back(score);
  }
  auto const scores = summarize(rows, t.asked.metrics);
  std::vector<json_value> metrics;
  for (metric_summary const& s : scores)
    metrics.push_back(json_object({{"metric", s.metric}, {"mean", s.mean}, {"standard_error", s.error}}));
  return json_object({{"score", scores.front().mean},
                      {"by_depth", by_depth},
                      {"depths", depths},
                      {"metrics", metrics},
                      {"tokens", tokens},
                      {"seconds", seconds},
                      {"cache_bytes", answers.memory.cache()},
                      {"bookkeeping_bytes", answers.memory.bookkeeping},
                      {"workspace_bytes", answers.memory.workspace},
                      {"compression", saved.vectors},
                      {"compression_with_bookkeeping", saved.with_bookkeeping}})
      .text();
}

// Runs one, and returns its result as JSON.
std::string result_of(loaded_model const& m, arguments const& a, tasks const& t, lab_run const& r,
                      std::atomic<long long>& done) {
  if (!r.perplexity()) return result_of_task(m, a, t.drawn.at({r.task, r.length}), r, done);
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
void run_all(loaded_model const& m, arguments const& a, tasks const& t, std::vector<lab_run>& runs, result_log& log) {
  std::vector<lab_run*> open;
  long long steps = 0;
  for (lab_run& r : runs) {
    if (auto const known = log.find(r.key)) {
      r.result = *known;
      continue;
    }
    open.push_back(&r);
    steps += r.perplexity() ? 1 : static_cast<long long>(t.drawn.at({r.task, r.length}).samples.size());
  }
  std::atomic<std::size_t> next{0};
  std::atomic<long long> done{0};
  std::mutex shared;
  std::exception_ptr wrong;
  progress shown("steps", steps);
  auto const work = [&] {
    for (std::size_t i = next++; i < open.size(); i = next++) {
      try {
        lab_run& r = *open[i];
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

std::vector<std::string> names_of_all() {
  std::vector<std::string> names;
  for (kvsift::catalogue_entry const& e : kvsift::catalogue) names.emplace_back(e.name);
  return names;
}

// The samples of every task at every length.
tasks draw_tasks(loaded_model const& m, arguments const& a, std::string const& words) {
  tasks t;
  task_sources const sources{a.haystack.empty() ? "" : read_text_file("--haystack", a.haystack), a.data};
  for (std::string const& name : a.tasks) {
    if (name == "perplexity") {
      t.text = cut_into_windows(m, words, a.tokens, a.window, a.from);
      continue;
    }
    task const asked = find_task(name, sources);
    std::vector<std::uint64_t> lengths(a.lengths.begin(), a.lengths.end());
    if (lengths.empty()) lengths = {asked.usual_length};
    for (std::uint64_t const length : lengths) {
      if (t.drawn.count({name, length}) > 0) continue;
      auto samples = asked.draw(*m.text, {a.shared.seed, a.prompts, length, a.depths});
      t.drawn.emplace(std::pair(name, length), samples_of_task{asked, length, std::move(samples)});
    }
  }
  return t;
}

// Every policy at every budget over one task. Equal runs stand once.
void add_runs(loaded_model const& m, arguments const& a, tasks const& t, std::string const& name, std::uint64_t length,
              std::vector<lab_run>& runs) {
  bool const perplexity = name == "perplexity";
  std::vector<sample> const* const samples = perplexity ? nullptr : &t.drawn.at({name, length}).samples;
  std::uint64_t base = length, prompt = 1;
  if (perplexity) {
    base = t.text->longest;
  } else {
    for (sample const& s : *samples) {
      prompt = std::max<std::uint64_t>(prompt, s.prompt.size());
      if (length == 0) base = std::max<std::uint64_t>(base, s.tokens());
    }
  }
  for (std::string const& budget : a.shared.budgets) {
    shared_options one = a.shared;
    one.budgets.clear();
    if (!budget.empty()) one.budgets = {budget};
    for (policy_choice& choice : choose_all(one, base, prompt)) {
      bool const cuts_prompts = choice.made.grows() || choice.made.value.budget.measured();
      if (perplexity && choice.made.value.facts().moments != kvsift::moment{} && cuts_prompts)
        continue;  // a window has no prompt
      lab_run r{name, length, perplexity ? "" : t.drawn.at({name, length}).fingerprint(),
                choice.bounded() ? budget : ""};
      r.plan =
          perplexity ? plan_positions(one, choice, m, t.text->longest - 1, 1) : plan_samples(one, choice, m, *samples);
      r.choice = std::move(choice);
      r.key = key_of(a, r);
      r.folder = folder_of(a, r);
      r.command = command_of(a, r);
      bool const there =
          std::any_of(runs.begin(), runs.end(), [&](lab_run const& other) { return other.key == r.key; });
      if (!there) runs.push_back(std::move(r));
    }
  }
}

int lab(arguments a) {
  if (a.shared.policies.empty()) a.shared.policies = names_of_all();
  bool const full = a.shared.policies == std::vector<std::string>{"full"};
  if (a.shared.budgets.empty())
    a.shared.budgets = full ? std::vector<std::string>{""} : std::vector<std::string>{"12%", "25%", "50%"};
  if (a.tasks.empty())
    a.tasks = a.text.empty() ? std::vector<std::string>{"passkey"} : std::vector<std::string>{"passkey", "perplexity"};
  if (a.prompts < 1) throw usage_error("--prompts is 0; give at least 1");
  if (a.depths < 1) throw usage_error("--depths is 0; give at least 1");
  bool answers_kept = false;
  for (std::string const& name : a.tasks) {
    if (name == "perplexity" && a.text.empty()) throw usage_error("--tasks is perplexity; give its --text");
    if (name != "perplexity") require_metrics(find_task(name, {{}, a.data}).metrics, a.commands, name + ": metrics");
    answers_kept = answers_kept || (name != "perplexity" && name != "passkey");
  }
  if (a.shared.out.empty() && answers_kept) a.shared.out = "results";
  check_executor(a.shared.executor);
  std::string const words = a.text.empty() ? "" : read_text_file("--text", a.text);
  loaded_model const m = load(a.shared);

  tasks const t = draw_tasks(m, a, words);
  std::vector<lab_run> runs;
  std::vector<std::string> maps;  // tasks with a picture of their own
  for (std::string const& name : a.tasks) {
    std::size_t lengths = 0;
    bool depths = false;
    if (name == "perplexity") add_runs(m, a, t, name, 0, runs);
    for (auto const& [which, drawn] : t.drawn) {
      if (which.first != name) continue;
      add_runs(m, a, t, name, which.second, runs);
      ++lengths;
      depths = drawn.asked.has_depth;
    }
    if (lengths > 1 && depths) maps.push_back(name);
  }

  std::vector<output_file> files;
  if (!a.shared.out.empty()) {
    make_output_folder(a.shared.out);
    for (std::string const name : {"lab.csv", "lab.svg"}) files.emplace_back("--out", a.shared.out + "/" + name);
    for (std::string const& name : maps)
      files.emplace_back("--out", a.shared.out + "/" + path_part(task_label(name)) + ".svg");
  }
  result_log log(a.shared.out.empty() ? "" : a.shared.out + "/lab.jsonl");
  run_all(m, a, t, runs, log);

  std::string objects;
  for (lab_run const& r : runs) objects += "{\"run\":" + r.key + ",\"result\":" + r.result + "}\n";
  if (!files.empty()) {
    files[0].write(lab_table(runs, true));
    files[1].write(lab_picture(runs, a.shared.budgets));
    for (std::size_t i = 0; i < maps.size(); ++i) files[2 + i].write(lab_heat_map(runs, maps[i]));
    for (output_file& file : files) file.commit();
  }
  print_now(a.as_json ? objects : lab_table(runs, false));
  return 0;
}

// lab score FOLDER
int score(std::string const& folder, std::vector<std::string> const& metrics, bool commands) {
  auto const all = score_again(folder, metrics, commands);
  table t({"folder", "samples", "metric", "mean", "standard error"});
  for (scored_folder const& one : all)
    for (metric_summary const& s : one.scores)
      t.add({one.path, std::to_string(one.samples), s.metric, fixed(100 * s.mean, 2) + " %",
             s.metric == "corpus_bleu" ? "-" : fixed(100 * s.error, 2) + " %"});
  print_now(t.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("lab", [&] {
    std::string const verb = argc > 1 ? argv[1] : "";
    if (verb == "score") {
      if (argc < 3 || argv[2][0] == '-')
        throw usage_error("score is given without a folder; give the one that lab --out wrote");
      command_line line("Scores the predictions in a folder of lab again. The model is not run.");
      std::vector<std::string> metrics;
      bool commands = false;
      line.add("--metrics", metrics, "In place of those of each task").separated_by_commas();
      line.add("--allow-commands", commands, "Run the metrics command:COMMAND");
      if (auto const status = line.parse(argc - 2, argv + 2)) return *status;
      return score(argv[2], metrics, commands);
    }
    if (verb == "split") {
      if (argc < 3 || argv[2][0] == '-') throw usage_error("split is given without a file; give one with rows of data");
      command_line line("Writes rows of data into two files: one to choose by, one to report.");
      std::string valid, out;
      std::uint64_t seed = 1;
      line.add("--valid", valid, "Rows of the first, as N or P%").required();
      line.add("--seed", seed, "Which rows").shows_default();
      line.add("--out", out, "Folder of both (the file's)");
      if (auto const status = line.parse(argc - 2, argv + 2)) return *status;
      split_files const files = split_rows(argv[2], valid, seed, out);
      print_now(files.valid + "  " + std::to_string(files.valid_rows) + " rows\n" + files.test + "  " +
                std::to_string(files.test_rows) + " rows\n");
      return 0;
    }
    command_line line("Policies side by side: every policy at every budget over every task.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return lab(a);
  });
}
