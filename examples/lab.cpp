// Policies side by side: every policy at every budget over every task, in one table and one picture; and one policy
// over one task, with everything it answered kept to be looked at and scored again.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <common/analysis/analyse.hpp>
#include <common/boundary.hpp>
#include <common/experiment_file.hpp>
#include <common/lab_experiment.hpp>
#include <common/lab_options.hpp>
#include <common/lab_run.hpp>
#include <common/output_file.hpp>
#include <common/report/report.hpp>
#include <common/result_log.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <common/tasks/result_folder.hpp>
#include <common/tasks/split.hpp>

namespace {

using namespace programs;

using arguments = lab_options;

void add_sharing(command_line& line, run_sharing& s, std::string const& usual) {
  auto const jobs = line.add("--jobs", s.jobs, "Processes that share the runs (" + usual + "); they share the machine, which tokens/s shows");
  line.add("--devices", s.devices, {0, 1023}, "With --executor cuda: GPUs that share the runs, by CUDA's numbers, a process each; several by commas (the first)")
      .excludes(jobs);
}

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true, "every one there is");
  add_prompt_options(line, a.shared);
  line.add("--tasks,--task", a.tasks,
           "perplexity, the generated passkey, needle, multi_key, multi_value, key_value, variable_tracking, "
           "common_words, "
           "reconstruction, task files, or prompts (.jsonl) (passkey, and perplexity if there is a --text)")
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
  line.add("--probe", a.probe, "Prompts of a task whose attention is compared with a full cache's, for the report")
      .shows_default();
  add_sharing(line, a.processes, "as many as the machine has threads");
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
      "lab experiment FILE.json --out results [--jobs N]\n"
      "Runs what the file says. --out keeps experiment.json, and report.html: one file to read in a browser.\n\n"
      "lab report results\n"
      "Writes results/report.html again from the results that are there.\n\n"
      "lab score results [--metrics f1,rouge_l] [--allow-commands]\n"
      "Scores what is in the folder again; the model is not run.\n\n"
      "lab boundary --policy snapkv --tasks needle --within 5%\n"
      "Finds the smallest budget that loses no more; see lab boundary --help.\n\n"
      "lab analyse --text stories.txt --policy roco --budget 25%\n"
      "Overlap with the most attended, and deviation of attention by age; see lab analyse --help.\n\n"
      "lab split data.jsonl --valid 20% [--seed 1] [--out FOLDER]\n"
      "Writes data-valid.jsonl and data-test.jsonl.");
}

// Of the tasks with depths that were run at several lengths.
std::vector<std::string> tasks_with_maps(std::vector<lab_part> const& parts) {
  std::map<std::string, std::set<std::uint64_t>> lengths;
  for (lab_part const& part : parts)
    for (auto const& [which, drawn] : part.drawn)
      if (drawn.asked.has_depth) lengths[which.first].insert(which.second);
  std::vector<std::string> tasks;
  for (auto const& [task, all] : lengths)
    if (all.size() > 1) tasks.push_back(task);
  return tasks;
}

// Whatever was asked for, by a command line or a file, goes through here. `text`: the experiment, as a file.
int run_experiment(std::vector<arguments> all, std::string const& out, run_sharing const& processes, bool as_json,
                   std::string const& text) {
  for (arguments& a : all) a.shared.out = out;
  std::vector<lab_part> parts = prepare(all);
  if (std::all_of(parts.begin(), parts.end(), [](lab_part const& p) { return p.runs.empty(); }))
    throw usage_error("there is nothing to run: policies that cut prompts alone have no perplexity, for a window has no prompt; give another policy or task");
  auto const maps = tasks_with_maps(parts);
  std::vector<output_file> files;
  if (!out.empty()) {
    make_output_folder(out);
    for (std::string const name : {"lab.csv", "lab.svg", "experiment.json", "report.html"})
      files.emplace_back("--out", out + "/" + name);
    for (std::string const& name : maps) files.emplace_back("--out", out + "/" + path_part(task_label(name)) + ".svg");
    files[2].write(text);
    files[2].commit();
  }
  {
    result_log log(out.empty() ? "" : out + "/lab.jsonl");
    run_all(parts, processes, log);
  }
  std::vector<lab_run> runs;
  std::vector<std::string> budgets;
  for (lab_part& part : parts) {
    for (lab_run& r : part.runs) runs.push_back(std::move(r));
    for (std::string const& b : part.asked.shared.budgets)
      if (std::find(budgets.begin(), budgets.end(), b) == budgets.end()) budgets.push_back(b);
  }
  if (budgets.size() > 1) std::erase(budgets, "");  // of what keeps everything
  std::string objects;
  for (lab_run const& r : runs) objects += "{\"run\":" + r.key + ",\"result\":" + r.result + "}\n";
  if (!files.empty()) {
    files[0].write(lab_table(runs, true));
    files[1].write(lab_picture(runs, budgets));
    files[3].write(lab_report(out));
    for (std::size_t i = 0; i < maps.size(); ++i) files[4 + i].write(lab_heat_map(runs, maps[i]));
    for (output_file& file : files)
      if (&file != &files[2]) file.commit();
  }
  print_now(as_json ? objects : lab_table(runs, false));
  return 0;
}

int lab(arguments a) {
  bool const kept = complete(a);
  if (a.shared.out.empty() && kept) a.shared.out = "results";
  return run_experiment({a}, a.shared.out, a.processes, a.as_json, as_experiment(a));
}

// lab experiment FILE
int experiment(std::string const& path, std::string const& out, run_sharing const& asked, bool commands, bool as_json) {
  std::vector<arguments> all = read_experiment(path);
  for (arguments& a : all) {
    a.commands = a.commands && commands;  // the file asks, the command line allows
    if (asked.jobs != 0 || !asked.devices.empty()) a.processes = asked;
    complete(a);
  }
  return run_experiment(all, out, all.front().processes, as_json, read_text_file("experiment", path));
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
    std::string name = "lab " + verb;  // as --help calls it
    // What stands behind the verb; its options follow.
    auto const operand = [&](char const* without) {
      std::string const given = argc > 2 ? argv[2] : "";
      if (given != "--help" && given != "-h" && (given.empty() || given[0] == '-')) throw usage_error(verb + " is given without " + without);
      int const before = given.empty() || given[0] == '-' ? 1 : 2;
      argc -= before;
      argv += before;
      argv[0] = name.data();
      return given;
    };
    if (verb == "score") {
      std::string const folder = operand("a folder; give the one that lab --out wrote");
      command_line line("Scores the predictions in a folder of lab again. The model is not run.");
      std::vector<std::string> metrics;
      bool commands = false;
      line.add("--metrics", metrics, "In place of those of each task").separated_by_commas();
      line.add("--allow-commands", commands, "Run the metrics command:COMMAND");
      if (auto const status = line.parse(argc, argv)) return *status;
      return score(folder, metrics, commands);
    }
    if (verb == "analyse") {
      command_line line("What the attention of a full cache says of policies, token by token of a text.");
      analyse_options o;
      add_analyse_options(line, o);
      argv[1] = name.data();
      if (auto const status = line.parse(argc - 1, argv + 1)) return *status;
      return analyse(o);
    }
    if (verb == "boundary") {
      command_line line(
          "The smallest budget with which a policy loses little of what the full cache is worth at a task.");
      boundary_options o;
      add_boundary_options(line, o);
      argv[1] = name.data();
      if (auto const status = line.parse(argc - 1, argv + 1)) return *status;
      return find_boundaries(o);
    }
    if (verb == "experiment") {
      std::string const file = operand("a file; give a JSON file, examples/experiments has some");
      command_line line("Runs what a JSON file says: checkpoints, tasks, policies, budgets, seeds.");
      std::string out;
      run_sharing processes;
      bool as_json = false, commands = false;
      line.add("--out", out, "Folder of the results; what is there is not run again").required();
      add_sharing(line, processes, "the file's, or as many as the machine has threads");
      line.add("--allow-commands", commands, "Run the metrics command:COMMAND of task files, where the file has allow_commands");
      line.add("--json", as_json, "Print one JSON object a run, in place of the table");
      if (auto const status = line.parse(argc, argv)) return *status;
      return experiment(file, out, processes, commands, as_json);
    }
    if (verb == "report") {
      std::string const folder = operand("a folder; give the one that lab --out wrote");
      command_line line("Writes report.html into a folder of results.");
      if (auto const status = line.parse(argc, argv)) return *status;
      std::string const report = lab_report(folder);
      output_file file("report", folder + "/report.html");
      file.write(report);
      file.commit();
      print_now(file.path() + "\n");
      return 0;
    }
    if (verb == "split") {
      std::string const rows = operand("a file; give one with rows of data");
      command_line line("Writes rows of data into two files: one to choose by, one to report.");
      std::string valid, out;
      std::uint64_t seed = 1;
      line.add("--valid", valid, "Rows of the first, as N or P%").required();
      line.add("--seed", seed, "Which rows").shows_default();
      line.add("--out", out, "Folder of both (the file's)");
      if (auto const status = line.parse(argc, argv)) return *status;
      split_files const files = split_rows(rows, valid, seed, out);
      print_now(files.valid + "  " + std::to_string(files.valid_rows) + " rows\n" + files.test + "  " +
                std::to_string(files.test_rows) + " rows\n");
      return 0;
    }
    if (!verb.empty() && verb[0] != '-')
      throw usage_error("'" + verb + "' is no command of lab; give experiment, report, score, boundary, analyse or split, or options alone");
    command_line line("Policies side by side: every policy at every budget over every task.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return lab(a);
  });
}
