#include <common/lab_run.hpp>

#include <algorithm>
#include <limits>
#include <map>

#include <common/dot_chart.hpp>
#include <common/heat_map.hpp>
#include <common/result_log.hpp>
#include <common/run_differences.hpp>
#include <common/table.hpp>
#include <nlohmann/json.hpp>

namespace programs {

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

struct column {
  std::string task;
  std::uint64_t length;
  std::string title;

  bool perplexity() const { return task == "perplexity"; }
};

std::vector<column> columns_of(std::vector<lab_run> const& runs) {
  std::vector<column> all;
  for (lab_run const& r : runs) {
    bool const there =
        std::any_of(all.begin(), all.end(), [&](column const& c) { return c.task == r.task && c.length == r.length; });
    if (!there) all.push_back({r.task, r.length, r.task == "passkey" ? "pass keys" : task_label(r.task)});
  }
  for (column& c : all) {
    auto const lengths =
        std::count_if(all.begin(), all.end(), [&](column const& other) { return other.task == c.task; });
    if (lengths > 1) c.title += " " + std::to_string(c.length);
  }
  return all;
}

// One policy at one budget, all tasks.
struct line_of_results {
  std::string policy, budget;
  std::vector<lab_run const*> runs;  // [columns]; null: was not run

  lab_run const& any() const {
    return **std::find_if(runs.begin(), runs.end(), [](lab_run const* r) { return r != nullptr; });
  }
  lab_run const* first(bool perplexity) const {
    auto const at = std::find_if(runs.begin(), runs.end(),
                                 [&](lab_run const* r) { return r != nullptr && r->perplexity() == perplexity; });
    return at == runs.end() ? nullptr : *at;
  }
};

// The policy of each run, with what sets it apart from others at its budget over its task.
std::vector<std::string> names_of(std::vector<lab_run> const& runs) {
  std::vector<std::string> keys, places, names;
  for (lab_run const& r : runs) {
    keys.push_back(r.key);
    places.push_back(r.choice.name + "\n" + r.budget + "\n" + r.task + "\n" + std::to_string(r.length));
  }
  auto const apart = run_differences(keys, places, {"probe"});
  for (std::size_t i = 0; i < runs.size(); ++i) names.push_back(runs[i].choice.name + apart[i]);
  return names;
}

std::vector<line_of_results> as_lines(std::vector<lab_run> const& runs, std::vector<column> const& columns) {
  std::vector<line_of_results> lines;
  auto const names = names_of(runs);
  for (lab_run const& r : runs) {
    std::string const& name = names[static_cast<std::size_t>(&r - runs.data())];
    auto at = std::find_if(lines.begin(), lines.end(),
                           [&](line_of_results const& l) { return l.policy == name && l.budget == r.budget; });
    if (at == lines.end()) at = lines.insert(at, {name, r.budget, std::vector<lab_run const*>(columns.size(), nullptr)});
    for (std::size_t c = 0; c < columns.size(); ++c)
      if (columns[c].task == r.task && columns[c].length == r.length) at->runs[c] = &r;
  }
  return lines;
}

double number(lab_run const* r, char const* field) {
  return r == nullptr ? no_number : result_log::number(r->result, field);
}
double rate(lab_run const* r) { return number(r, "tokens") / number(r, "seconds"); }
double prompt_rate(lab_run const* r) { return number(r, "tokens") / number(r, "prefill_seconds"); }
// Of tokens that are fed one by one: those of answers, or of a text.
double decode_rate(line_of_results const& l) {
  lab_run const* const r = l.first(true) != nullptr ? l.first(true) : l.first(false);
  return number(r, "decode_steps") > 0 ? number(r, "decode_steps") / number(r, "decode_seconds") : no_number;
}

std::string slots_text(line_of_results const& l) {
  std::string text;
  std::vector<std::uint32_t> shown;
  for (lab_run const* r : l.runs) {
    if (r == nullptr || !r->choice.bounded()) continue;
    std::uint32_t const slots = r->choice.slots();
    if (std::find(shown.begin(), shown.end(), slots) != shown.end()) continue;
    shown.push_back(slots);
    text += (text.empty() ? "" : "/") + std::to_string(slots);
  }
  return text.empty() ? "-" : text;
}

// A row a run: where columns would be too many to read.
std::string long_table(std::vector<lab_run> const& runs) {
  table t({"policy", "budget", "slots", "task", "length", "score", "cache KiB", "tokens/s"});
  auto const names = names_of(runs);
  for (lab_run const& r : runs)
    t.add({names[static_cast<std::size_t>(&r - runs.data())], r.budget.empty() ? "-" : r.budget,
           r.choice.bounded() ? std::to_string(r.choice.slots()) : "-", task_label(r.task),
           r.length == 0 ? "-" : std::to_string(r.length),
           r.perplexity() ? fixed(number(&r, "score"), 4) : fixed(100 * number(&r, "score"), 1) + " %",
           fixed(number(&r, "cache_bytes") / 1024, 1), fixed(rate(&r), 0)});
  return t.aligned();
}

}  // namespace

std::string task_label(std::string const& task) {
  std::string const name = task.substr(task.rfind('/') + 1);
  std::size_t const dot = name.rfind('.');
  bool const file = name.ends_with(".json") || name.ends_with(".jsonl");
  return file ? name.substr(0, dot) : name;
}

std::string lab_table(std::vector<lab_run> const& runs, bool csv) {
  auto const columns = columns_of(runs);
  if (!csv && columns.size() > 4) return long_table(runs);
  std::vector<std::string> header{"policy", "budget", "slots"};
  for (column const& c : columns) header.push_back(c.title);
  header.insert(header.end(), {"cache KiB", "of it bookkeeping", "prompt tokens/s", "decode tokens/s"});
  table t(header);
  for (line_of_results const& l : as_lines(runs, columns)) {
    lab_run const& r = l.any();
    std::vector<std::string> row{l.policy, l.budget.empty() ? "-" : l.budget, slots_text(l)};
    for (std::size_t c = 0; c < columns.size(); ++c)
      row.push_back(columns[c].perplexity() ? fixed(number(l.runs[c], "score"), 4)
                    : l.runs[c] == nullptr  ? "-"
                                            : fixed(100 * number(l.runs[c], "score"), 1) + " %");
    row.insert(row.end(), {fixed(number(&r, "cache_bytes") / 1024, 1),
                           fixed(100 * number(&r, "bookkeeping_bytes") / number(&r, "cache_bytes"), 1) + " %",
                           fixed(prompt_rate(l.first(false)), 0), fixed(decode_rate(l), 0)});
    t.add(row);
  }
  return csv ? t.csv() : t.aligned();
}

std::string lab_picture(std::vector<lab_run> const& runs, std::vector<std::string> const& budgets) {
  auto const columns = columns_of(runs);
  auto const lines = as_lines(runs, columns);
  struct row {
    std::string name;
    std::vector<std::vector<double>> values;  // [columns][budgets]
    double bytes, speed;
  };
  std::vector<row> rows;
  dot_chart chart;
  std::vector<dot_measure> measures;
  for (column const& c : columns) {
    dot_measure m{.title = c.task == "passkey" ? "pass keys found, %" + c.title.substr(9) : c.title + ", %",
                  .low = 0,
                  .high = 100};
    if (c.perplexity()) m = {.title = "perplexity", .log = true};
    measures.push_back(m);
  }
  auto const value = [&](line_of_results const& l, std::size_t c) {
    return number(l.runs[c], "score") * (columns[c].perplexity() ? 1 : 100);
  };
  std::vector<line_of_results const*> full;
  for (line_of_results const& l : lines) {
    if (l.budget.empty()) {  // other policies without a budget have no place
      if (l.any().choice.name == "full") full.push_back(&l);
      continue;
    }
    auto at = std::find_if(rows.begin(), rows.end(), [&](row const& r) { return r.name == l.policy; });
    if (at == rows.end())
      at = rows.insert(at, {l.policy, std::vector(columns.size(), std::vector(budgets.size(), no_number)), no_number, no_number});
    auto const s = static_cast<std::size_t>(std::find(budgets.begin(), budgets.end(), l.budget) - budgets.begin());
    for (std::size_t c = 0; c < columns.size(); ++c) at->values[c][s] = value(l, c);
    if (s == budgets.size() / 2) {
      at->bytes = number(&l.any(), "cache_bytes");
      at->speed = rate(l.first(true) != nullptr ? l.first(true) : l.first(false));
    }
  }
  for (std::size_t c = 0; c < columns.size() && !full.empty(); ++c) {
    double all = 0;
    for (line_of_results const* l : full) all += value(*l, c);
    measures[c].reference = all / static_cast<double>(full.size());
    chart.reference_label = "full: everything kept" + (full.size() > 1 ? ", mean of " + std::to_string(full.size()) : "");
  }
  auto const sum = [&](row const& r, bool perplexity, double missing) {
    double all = 0;
    for (std::size_t c = 0; c < columns.size(); ++c)
      for (double const v : r.values[c])
        if (columns[c].perplexity() == perplexity) all += v == v ? v : missing;
    return all;
  };
  std::stable_sort(rows.begin(), rows.end(), [&](row const& x, row const& y) {
    double const fx = sum(x, false, 0), fy = sum(y, false, 0);
    return fx != fy ? fx > fy : sum(x, true, 0) < sum(y, true, 0);
  });
  text_measure bytes{"KiB at " + budgets[budgets.size() / 2], {}}, speed{"tokens/s", {}};
  for (row const& r : rows) {
    chart.rows.push_back(r.name);
    for (std::size_t c = 0; c < columns.size(); ++c) measures[c].values.push_back(r.values[c]);
    bytes.values.push_back(fixed(r.bytes / 1024, 0));
    speed.values.push_back(fixed(r.speed, 0));
  }
  for (std::string const& b : budgets) chart.series.push_back("budget " + b);
  bool const perplexity = std::any_of(columns.begin(), columns.end(), [](column const& c) { return c.perplexity(); });
  if (columns.size() == 1 && perplexity)
    chart.title = "Perplexity by policy and budget";
  else if (columns.size() == (perplexity ? 2u : 1u) && columns.front().task == "passkey")
    chart.title = "Pass keys in prompts of " + std::to_string(columns.front().length) + " tokens" +
                  (perplexity ? ", and perplexity, by policy and budget" : ", by policy and budget");
  else
    chart.title = "Tasks by policy and budget";
  chart.measures = measures;
  chart.texts = {bytes, speed};
  return draw(chart);
}

std::string lab_heat_map(std::vector<lab_run> const& runs, std::string const& task) {
  heat_map map;
  map.title = task_label(task) + ": depth by length of the prompt";
  map.row_label = "depth";
  map.column_label = "tokens";
  map.value_label = "score";
  auto const names = names_of(runs);
  std::vector<double> depths;
  std::vector<std::uint64_t> lengths;
  for (lab_run const& r : runs) {
    if (r.task != task) continue;
    if (std::find(lengths.begin(), lengths.end(), r.length) == lengths.end()) lengths.push_back(r.length);
    auto const result = nlohmann::json::parse(r.result);
    for (double const d : result.value("depths", std::vector<double>{}))
      if (std::find(depths.begin(), depths.end(), d) == depths.end()) depths.push_back(d);
  }
  std::sort(depths.begin(), depths.end());
  for (double const d : depths) map.rows.push_back(fixed(100 * d, 0) + " %");
  for (std::uint64_t const l : lengths) map.columns.push_back(std::to_string(l));
  for (lab_run const& r : runs) {
    if (r.task != task) continue;
    std::string const name =
        names[static_cast<std::size_t>(&r - runs.data())] + (r.budget.empty() ? "" : " " + r.budget);
    auto panel =
        std::find_if(map.panels.begin(), map.panels.end(), [&](heat_panel const& p) { return p.name == name; });
    if (panel == map.panels.end())
      panel = map.panels.insert(panel, {name, std::vector(depths.size(), std::vector(lengths.size(), no_number))});
    auto const result = nlohmann::json::parse(r.result);
    auto const c = static_cast<std::size_t>(std::find(lengths.begin(), lengths.end(), r.length) - lengths.begin());
    auto const here = result.value("depths", std::vector<double>{});
    for (std::size_t i = 0; i < here.size(); ++i) {
      auto const d = std::find(depths.begin(), depths.end(), here[i]) - depths.begin();
      panel->cells[static_cast<std::size_t>(d)][c] = result.at("by_depth").at(i).get<double>();
    }
  }
  return draw(map);
}

}  // namespace programs
