// What a task loses when heads keep a window alone: the most important by a score, the least important, and any.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <common/head_game.hpp>
#include <common/head_table.hpp>
#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <reference_model/io/bad_file.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  task_options task;
  head_window window;
  std::vector<std::string> scores;
  std::vector<std::uint32_t> counts;
  std::uint64_t draws = 5;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  line.help_column(26);
  add_model_options(line, a.shared);
  line.add("--scores", a.scores, "Head scores by KV head (shapley) or query head (needle_heads); several by commas")
      .separated_by_commas()
      .required();
  line.add("--count", a.counts, {1, 1000000},
           "Heads masked at once, by commas (1, 1/8, 1/4, 3/8 and 1/2 of the heads)");
  line.add("--draws", a.draws, "Random sets of heads for each count").shows_default();
  add_task_options(line, a.task);
  line.add("--sinks", a.window.sinks, "First tokens of the prompt that a masked head keeps").shows_default();
  line.add("--recent", a.window.recent, "Newest tokens of the prompt that it keeps").shows_default();
  line.add("--seed", a.shared.seed, "Seed of the random sets").shows_default();
  line.add("--executor", a.shared.executor, "serial, parallel, parallel:N threads, or cuda in a build with it").shows_default();
  line.add("--out", a.shared.out, "Folder for mask_heads.csv and mask_heads.svg; made when missing");
  line.add("--json", a.as_json, "Print one JSON object a mask, in place of the table");
  line.example(
      "mask_heads --scores scores/scores.json,heads/needle_heads.json --count 1,2,4,8 --metric exact --out masks\n"
      "Masking the least important should hurt little, the most important much: how far the two are apart tells how "
      "good scores are.");
}

struct mask {
  std::string scores;  // the file; "" of random ones
  std::string which;   // most, least or random
  std::uint32_t count = 0;
  double value = 0, deviation = std::numeric_limits<double>::quiet_NaN();
};

// KV heads, the most important first, equals in order. Scores of query heads are summed over each group.
std::vector<std::size_t> ranked(std::string const& file, reference_model::config const& c) {
  head_table const t = load_head_table(file);
  std::size_t const players = players_of(c), queries = std::size_t{c.layers} * c.heads, there = t.values.size();
  if (there != players && there != queries)
    throw reference_model::bad_file(file, "has " + std::to_string(there) + " heads; the model has " +
                                              std::to_string(players) + " KV heads and " + std::to_string(queries) +
                                              " query heads");
  std::vector<double> scores(players, 0.0);
  for (std::size_t i = 0; i < there; ++i) scores[i / (there / players)] += t.values[i];
  std::vector<std::size_t> order(players);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return scores[i] > scores[j]; });
  return order;
}

// Everyone but `count` heads of the order, from its begin or its end.
coalition without(std::vector<std::size_t> const& order, std::uint32_t count, bool from_end) {
  coalition members(order.size(), true);
  for (std::size_t r = 0; r < count; ++r) members[order[from_end ? order.size() - 1 - r : r]] = false;
  return members;
}

std::vector<std::uint32_t> counts_of(arguments const& a, std::size_t players) {
  std::vector<std::uint32_t> counts = a.counts;
  if (counts.empty())
    for (std::size_t const n : {std::size_t{1}, players / 8, players / 4, 3 * players / 8, players / 2})
      counts.push_back(static_cast<std::uint32_t>(std::max<std::size_t>(1, n)));
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts.back() > players)
    throw usage_error("--count is " + std::to_string(counts.back()) + "; the model has " + std::to_string(players) +
                      " KV heads, give at most as many");
  return counts;
}

std::vector<mask> measure(arguments const& a, loaded_model const& m, head_game& game,
                          std::vector<std::uint32_t> const& counts) {
  std::size_t const players = players_of(m.config());
  std::vector<std::vector<std::size_t>> orders;
  for (std::string const& file : a.scores) orders.push_back(ranked(file, m.config()));
  progress shown("masks", static_cast<long long>(counts.size() * (2 * orders.size() + a.draws)));
  long long done = 0;
  std::vector<mask> all;
  for (std::uint32_t const count : counts) {
    for (std::size_t f = 0; f < orders.size(); ++f) {
      for (bool const least : {false, true}) {
        all.push_back({a.scores[f], least ? "least" : "most", count, game.worth(without(orders[f], count, least))});
        shown.at(++done);
      }
    }
    double sum = 0, squares = 0, n = static_cast<double>(a.draws);
    for (std::uint64_t draw = 0; draw < a.draws; ++draw) {
      double const value = game.worth(complement(draw_coalition(players, count, a.shared.seed, draw)));
      sum += value;
      squares += value * value;
      shown.at(++done);
    }
    if (a.draws > 0)
      all.push_back({"", "random", count, sum / n,
                     a.draws > 1 ? std::sqrt(std::max(0.0, squares - sum * sum / n) / (n - 1))
                                 : std::numeric_limits<double>::quiet_NaN()});
  }
  return all;
}

std::string name_of(mask const& k) {
  if (k.scores.empty()) return "random";
  std::filesystem::path const file(k.scores);
  std::string const folder = file.parent_path().filename().string();
  return k.which + " important by " + (folder.empty() ? "" : folder + "/") + file.stem().string();
}

std::string as_picture(arguments const& a, std::vector<mask> const& all, double full) {
  line_plot plot;
  plot.title = "Heads masked";
  plot.x_label = "KV heads that keep a window alone";
  plot.y_label = a.task.metric == "exact" ? "answers found" : a.task.metric;
  plot.y_low = 0;
  plot.y_high = 1;
  for (mask const& k : all) {
    auto at = std::find_if(plot.lines.begin(), plot.lines.end(), [&](series const& s) { return s.name == name_of(k); });
    if (at == plot.lines.end()) at = plot.lines.insert(at, {name_of(k), {}, false});
    at->points.emplace_back(k.count, k.value);
  }
  plot.lines.push_back({"none masked", {{0, full}}, true});
  return draw(plot);
}

int mask_heads(arguments const& a) {
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  std::vector<std::uint32_t> const counts = counts_of(a, players_of(m.config()));
  head_task const task = make_head_task(m, a.shared, a.task);
  result_files files(a.shared.out, {"mask_heads.csv", "mask_heads.svg"});
  head_game game(task, a.window);
  double const full = game.worth(coalition(players_of(m.config()), true));
  std::vector<mask> const all = measure(a, m, game, counts);

  table t({"scores", "masked", "heads", "value", "deviation"});
  t.add({"-", "none", "0", fixed(full, 4), "-"});
  for (mask const& k : all)
    t.add({k.scores.empty() ? "-" : k.scores, k.which, std::to_string(k.count), fixed(k.value, 4),
           fixed(k.deviation, 4)});
  if (files) files.commit({t.csv(), as_picture(a, all, full)});
  std::string objects = json_line({{"masked", "none"}, {"heads", 0u}, {"value", full}});
  for (mask const& k : all)
    objects += json_line({{"scores", k.scores},
                          {"masked", k.which},
                          {"heads", k.count},
                          {"value", k.value},
                          {"deviation", k.deviation}});
  print_now(a.as_json ? objects : t.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("mask_heads", [&] {
    command_line line("What a task loses when heads keep a window alone.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return mask_heads(a);
  });
}
