// How important each KV head is to a task: Sliced Shapley values, as CoKV estimates them, by any number of processes.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <common/cache_file.hpp>
#include <common/fnv1a.hpp>
#include <common/head_game.hpp>
#include <common/json_output.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/sample_file.hpp>
#include <common/shapley_report.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>

namespace {

using namespace programs;

constexpr std::uint64_t block = 8;  // draws of each slice between two looks at the stop rule

struct arguments {
  shared_options shared;
  task_options task;
  head_window window;
  std::vector<std::string> slices;
  std::string until, part = "1/1";
  std::uint64_t max_samples = 10000;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  line.help_column(26);
  add_model_options(line, a.shared);
  add_task_options(line, a.task);
  line.add("--sinks", a.window.sinks, "First tokens of the prompt that a head keeps which is no member")
      .shows_default();
  line.add("--recent", a.window.recent, "Newest tokens of the prompt that it keeps").shows_default();
  line.add("--slices", a.slices,
           "Sizes of coalitions, by commas, or all of 1 to half the heads (1/8, 1/4, 3/8 and 1/2 of the heads)")
      .separated_by_commas();
  line.add("--until", a.until, "Stop when two runs differ by less on average, as 1/N or a number (1/heads)");
  line.add("--max-samples", a.max_samples, "Draws of each slice, at most").shows_default();
  line.add("--seed", a.shared.seed, "Seed of the draws").shows_default();
  line.add("--part", a.part, "I/N: of the draws every Nth, beginning with the Ith; for N processes and one --out")
      .shows_default();
  line.add("--executor", a.shared.executor, "serial, parallel, parallel:N threads, or cuda in a build with it").shows_default();
  line.add("--out", a.shared.out, "Folder of samples and results, shared by all processes").required();
  line.add("--json", a.as_json, "Print one JSON object, in place of the table");
  line.example(
      "shapley --task passkey --until 1/256 --out scores\n"
      "  shapley --out scores --part 3/8        (eight processes, on any machines that share the folder)\n"
      "  shapley merge scores other --out all\n"
      "  generate --policy cokv --set allocator.scores=scores/shapley.npy --set allocator.border=4 --budget 25% --prompt-file story.txt\n"
      "  shapley judge --help                   (what policies, budgets from scores among them, are worth at a task)\n"
      "It goes on from what the folder holds. --out gets shapley.npy (CoKV's arrays), scores.json, shapley.json, "
      "shapley.svg.");
}

// A number from 1 to `most` in digits.
std::optional<std::uint64_t> counted(std::string const& text, std::uint64_t most) {
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  std::uint64_t const n = std::stoull(text);
  return n >= 1 && n <= most ? std::optional(n) : std::nullopt;
}

// 0 if none is given.
double parse_until(std::string const& text) {
  if (text.empty()) return 0;
  if (text.rfind("1/", 0) == 0)
    if (auto const n = counted(text.substr(2), 999999999)) return 1 / static_cast<double>(*n);
  char* end = nullptr;
  double const value = std::strtod(text.c_str(), &end);
  if (*end != '\0' || !(value > 0 && value <= 1))
    throw usage_error("--until is '" + text + "'; give 1/N, or a number above 0 and at most 1");
  return value;
}

struct part {
  std::uint64_t index = 0, of = 1;
};
part parse_part(std::string const& text) {
  std::size_t const slash = text.find('/');
  auto const of = slash == std::string::npos ? std::nullopt : counted(text.substr(slash + 1), 1000000);
  auto const index = of ? counted(text.substr(0, slash), *of) : std::nullopt;
  if (!index) throw usage_error("--part is '" + text + "'; give I/N with I from 1 to N");
  return {*index - 1, *of};
}

std::vector<std::uint32_t> parse_slices(std::vector<std::string> const& asked, std::size_t players) {
  std::set<std::uint32_t> sizes;
  std::size_t const most = players / 2;
  if (asked.empty())
    for (std::size_t eighths = 1; eighths <= 4; ++eighths)
      sizes.insert(static_cast<std::uint32_t>(std::max<std::size_t>(1, eighths * players / 8)));
  for (std::string const& text : asked) {
    if (text == "all") {
      for (std::size_t s = 1; s <= most; ++s) sizes.insert(static_cast<std::uint32_t>(s));
    } else if (auto const size = counted(text, most)) {
      sizes.insert(static_cast<std::uint32_t>(*size));
    } else {
      throw usage_error("--slices is '" + text + "'; give sizes from 1 to half the heads, " + std::to_string(most) +
                        ", or all");
    }
  }
  return {sizes.begin(), sizes.end()};
}

std::string game_of(loaded_model const& m, head_task const& task, head_window const& window) {
  fnv1a model;
  model.add_word(fingerprint(m.model));
  model.add_word(fingerprint(*m.text));
  json_value const shape = json_object({{"model", model.hex()},
                                        {"layers", m.config().layers},
                                        {"kv_heads", m.config().kv_heads},
                                        {"sinks", window.sinks},
                                        {"recent", window.recent}});
  std::string const text = shape.text();
  return text.substr(0, text.size() - 1) + ",\"task\":" + task.description + "}";
}

void write_results(std::string const& folder, shapley_report const& r) {
  result_files files(folder, {"shapley.json", "shapley.svg"});
  files.commit({as_json(r), as_heat_map(r)});
  if (!r.unknown_heads().empty()) return;  // budgets need a value for every head
  result_files scores(folder, {"shapley.npy", "scores.json"});
  scores.commit({as_arrays(r), as_scores(r)});
}

// Draws until the stop rule holds over what the folder has, or every draw is there.
void draw_all(arguments const& a, part const& mine, std::vector<std::uint32_t> const& slices, std::size_t players,
              double until, head_game& game, sample_file& file, stored_samples& stored) {
  auto const number = static_cast<std::uint32_t>(players);
  std::uint64_t const seed = a.shared.seed;
  auto const learn = [&] {
    for (auto const& [key, value] : stored.samples) {
      coalition const members = draw_coalition(players, key.slice, key.seed, key.draw);
      game.knows(members, value.inside);
      game.knows(complement(members), value.outside);
    }
  };
  auto const sample = [&](sample_key const& key) {
    if (stored.samples.has(key)) return false;
    coalition const members = draw_coalition(players, key.slice, key.seed, key.draw);
    sample_value const value{game.worth(members), game.worth(complement(members))};
    file.add(key, value);
    stored.samples.add(key, value);
    return true;
  };
  learn();
  if (mine.index == 0) sample({number, seed, 0});
  progress shown("samples", 0);
  long long done = 0;
  std::uint64_t first = a.max_samples;  // of the draws that are made here
  double apart = 0;
  for (std::uint64_t draw = 0; draw < a.max_samples; ++draw) {
    for (std::uint32_t const slice : slices) {
      if (draw % mine.of != mine.index || !sample({slice, seed, draw})) continue;
      first = std::min(first, draw);
      double const share = apart > 0 ? apart / until : 1e9;
      double const total =
          std::min(static_cast<double>(a.max_samples),
                   std::max(static_cast<double>(draw + 1), static_cast<double>(draw + 1) * share * share));
      shown.expect(
          std::max(++done, static_cast<long long>((total - static_cast<double>(first)) *
                                                  static_cast<double>(slices.size()) / static_cast<double>(mine.of))));
      shown.at(done, apart > 0 ? "two runs differ by " + std::to_string(apart) : "");
    }
    if ((draw + 1) % block != 0) continue;
    if (mine.of > 1) stored = read_samples({a.shared.out}, stored.game);
    std::uint64_t newest = 0;
    for (auto const& [key, value] : stored.samples)
      if (key.seed == seed) newest = std::max(newest, key.draw);
    if (newest > draw) continue;  // others are ahead, or we were: the rule did not hold here
    apart = two_runs(stored.samples, players).mean_absolute_difference;
    if (apart < until) return;
  }
}

int estimate_values(arguments const& a) {
  part const mine = parse_part(a.part);
  double const asked = parse_until(a.until);
  if (a.max_samples < 2)
    throw usage_error("--max-samples is " + std::to_string(a.max_samples) +
                      "; give at least 2, one for each of two runs");
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  std::size_t const players = players_of(m.config());
  if (players < 2) throw usage_error("the model has one KV head; there is nothing to compare it with");
  std::vector<std::uint32_t> const slices = parse_slices(a.slices, players);
  head_task const task = make_head_task(m, a.shared, a.task);
  keep_heads(coalition(players), a.window);  // refuses a window that is none
  std::string const name = game_of(m, task, a.window);
  make_output_folder(a.shared.out);
  read_samples({a.shared.out}, name);  // refuses another game's before anything is written
  sample_file file(a.shared.out,
                   "samples-" + std::to_string(a.shared.seed) + "-" + std::to_string(mine.index + 1) + "of" +
                       std::to_string(mine.of) + ".jsonl",
                   name);
  stored_samples stored = read_samples({a.shared.out}, name);
  head_game game(task, a.window);
  draw_all(a, mine, slices, players, asked == 0 ? 1 / static_cast<double>(players) : asked, game, file, stored);

  stored = read_samples({a.shared.out}, name);
  shapley_report const r = report_of(a.shared.out, name, stored.samples, asked);
  write_results(a.shared.out, r);
  print_now(a.as_json ? as_json(r) : as_table(r));
  return 0;
}

// ---- shapley merge ----

struct merge_arguments {
  std::vector<std::string> folders;
  std::string out, until;
  bool as_json = false;
};

void add_options(command_line& line, merge_arguments& a) {
  line.help_column(26);
  line.add("folders", a.folders, "Folders that shapley wrote, of one game").required();
  line.add("--out", a.out,
           "Folder for samples.jsonl, which holds all of theirs, and for the results; one of them, or another");
  line.add("--until", a.until, "What two runs are held against, as 1/N or a number (1/heads)");
  line.add("--json", a.as_json, "Print one JSON object, in place of the table");
  line.example(
      "shapley merge part1 part2 part3 --out all\n"
      "A sample that several hold counts once. Without --out only the table is printed.");
}

int merge(merge_arguments const& a) {
  double const until = parse_until(a.until);
  stored_samples const all = read_samples(a.folders, "");
  if (all.samples.size() == 0)
    throw usage_error("'" + a.folders.front() + "' holds no samples; give folders that shapley wrote to --out");
  shapley_report const r = report_of(a.folders.front(), all.game, all.samples, until);
  if (!a.out.empty()) {
    make_output_folder(a.out);
    output_file samples("--out", a.out + "/samples.jsonl");
    samples.write(samples_text(all.game, all.samples));
    samples.commit();
    write_results(a.out, r);
  }
  print_now(a.as_json ? as_json(r) : as_table(r));
  return 0;
}

// ---- shapley judge ----

struct judge_arguments {
  shared_options shared;
  task_options task;
  bool as_json = false;
};

void add_options(command_line& line, judge_arguments& a) {
  add_shared_options(line, a.shared, true);
  add_task_options(line, a.task);
  line.add("--json", a.as_json, "Print one JSON object a policy and budget, in place of the table");
  line.example(
      "shapley judge --task pairs.jsonl --metric exact --policy snapkv,by_scores.json --budget 12%,25% --bound prompt\n"
      "What ordinary policies are worth at a task, budgets from head scores among them. P% is of the longest prompt.");
}

int judge(judge_arguments const& a) {
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  head_task const task = make_head_task(m, a.shared, a.task);
  std::vector<policy_choice> const policies = task.policies(a.shared);
  progress shown("policies", static_cast<long long>(policies.size()));
  table t({"policy", "budget", "value"});
  std::string objects;
  for (policy_choice const& choice : policies) {
    double const value = task.value(choice);
    shown.at(static_cast<long long>(&choice - policies.data()) + 1, choice.name);
    t.add({choice.name, choice.bounded() ? std::to_string(choice.slots()) : "-", fixed(value, 4)});
    objects += json_line({{"policy", choice.name},
                          {"budget", choice.bounded() ? json_value(choice.slots()) : nullptr},
                          {"value", value}});
  }
  shown.clear();
  print_now(a.as_json ? objects : t.aligned());
  return 0;
}

template <class Arguments, class Body>
int command(char const* what, int argc, char** argv, Body body) {
  command_line line(what);
  Arguments a;
  add_options(line, a);
  if (auto const status = line.parse(argc, argv)) return *status;
  return body(a);
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("shapley", [&] {
    if (argc > 1 && std::string(argv[1]) == "merge")
      return command<merge_arguments>("Merges partial results of shapley.", argc - 1, argv + 1, merge);
    if (argc > 1 && std::string(argv[1]) == "judge")
      return command<judge_arguments>("What policies are worth at a task that heads are measured by.", argc - 1,
                                      argv + 1, judge);
    return command<arguments>(
        "How important each KV head is to a task: Sliced Shapley values, estimated by many processes or one.", argc,
        argv, estimate_values);
  });
}
