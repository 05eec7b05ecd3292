#pragma once
// Quality against budget: a small plot a policy, so that intervals can be seen, and a table.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/line_plot.hpp>
#include <common/report/overview.hpp>

namespace programs {

// One policy (blue, with its band) among the others (grey); the full cache is dashed.
inline std::string quality_plot(report_data const& d, std::size_t column, std::size_t policy, double low, double high) {
  double const left = 34, right = 172, top = 10, base = 106;
  svg_page page(180, 130, d.policies[policy] + ", " + d.columns[column] + ": quality against budget");
  bool const log = d.perplexity(column);
  plot_axis const y(low, high, log, base, top);
  auto const x = [&](std::size_t b) {
    std::size_t const n = d.budgets.size();
    return n < 2 ? (left + right) / 2 : left + 8 + (right - left - 16) * static_cast<double>(b - 1) / static_cast<double>(n - 1);
  };
  for (double const tick : log ? std::vector<double>{low, high} : std::vector<double>{0, 0.5, 1}) {
    page.line(left, y.at(tick), right, y.at(tick), "#e4e4e4");
    page.text(left - 4, y.at(tick) + 3.5, log ? fixed(tick, 1) : fixed(100 * tick, 0), {.anchor = "end", .size = 10});
  }
  for (std::size_t b = 1; b <= d.budgets.size(); ++b)
    if (d.budgets.size() <= 5 || b % 2 == 1) page.text(x(b), base + 15, d.budgets[b - 1], {.anchor = "middle", .size = 10});
  auto const points = [&](std::size_t p, auto const& value) {
    std::string all;
    for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
      report_point const& one = d.at(p, column, b);
      if (one.runs.empty() || std::isnan(value(one))) continue;
      all += px(x(b)) + "," + px(y.at(std::clamp(value(one), low, high))) + " ";
    }
    return all;
  };
  auto const score = [](report_point const& one) { return one.score(); };
  for (std::size_t const p : d.ranked())
    if (p != policy) page.polyline(points(p, score), "#cfcfcf", 1);
  std::string above, below;
  for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
    report_point const& one = d.at(policy, column, b);
    interval const i = one.runs.empty() ? interval{} : one.within();
    if (std::isnan(i.low)) continue;
    above += (above.empty() ? "M" : "L") + px(x(b)) + " " + px(y.at(std::clamp(i.high, low, high)));
    below = "L" + px(x(b)) + " " + px(y.at(std::clamp(i.low, low, high))) + below;
  }
  if (!above.empty()) page.path(above + below + "z", "#cfe3f2");
  if (report_point const* const full = d.full(column); full != nullptr)
    page.line(left, y.at(std::clamp(full->score(), low, high)), right, y.at(std::clamp(full->score(), low, high)), "#777777", 1, "4 3");
  page.polyline(points(policy, score), "#0072b2", 2);
  for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
    report_point const& one = d.at(policy, column, b);
    if (one.runs.empty()) continue;
    page.circle(x(b), y.at(std::clamp(one.score(), low, high)), 3.2, "#0072b2", d.budgets[b - 1] + ": " + score_text(one.any(), one.score()));
  }
  return page.finished();
}

inline void add_quality(report_page& page, report_data const& d) {
  page.section("quality", "Quality against budget");
  page.say("Blue: the policy, with its 95 % interval. Grey: the others. Dashed: the full cache. Intervals are Wilson's where every answer is right or wrong, "
           "and Student's t of the mean where scores lie between; of perplexity, t over its windows.", "soft");
  for (std::size_t c = 0; c < d.columns.size(); ++c) {
    report_run const* const kind = d.first_of(c);
    if (kind == nullptr) continue;
    page.heading(d.columns[c] + (kind->metric.empty() ? "" : " (" + kind->metric + (kind->perplexity() ? "" : ", %") + ")"));
    double low = 0, high = 1;
    if (kind->perplexity()) {
      low = std::numeric_limits<double>::infinity(), high = 0;
      for (std::size_t p = 0; p < d.policies.size(); ++p)
        for (std::size_t b = 0; b <= d.budgets.size(); ++b)
          if (report_point const& one = d.at(p, c, b); !one.runs.empty()) low = std::min(low, one.score()), high = std::max(high, one.score());
      low *= 0.995, high *= 1.005;
    }
    report_grid plots;
    std::vector<std::string> header{"policy"};
    for (std::string const& b : d.budgets) header.push_back(b);
    report_table table(d.columns[c] + ": score [95 % interval], samples", header);
    std::vector<std::size_t> rows = d.ranked();
    for (std::size_t p = 0; p < d.policies.size(); ++p)
      if (!d.at(p, c, 0).runs.empty()) rows.push_back(p);
    for (std::size_t const p : rows) {
      bool bounded = false;
      std::vector<report_cell> cells;
      for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
        report_point const& one = d.at(p, c, b);
        report_point const& shown = one.runs.empty() ? d.at(p, c, 0) : one;
        bounded = bounded || !one.runs.empty();
        if (shown.runs.empty()) {
          cells.push_back({"-"});
          continue;
        }
        interval const i = shown.within();
        std::string text = score_text(*kind, shown.score());
        double const times = kind->perplexity() ? 1 : 100;
        int const places = kind->perplexity() ? 2 : 0;
        if (!std::isnan(i.low)) text += " <small>[" + fixed(times * i.low, places) + ", " + fixed(times * i.high, places) + "] " + std::to_string(shown.samples()) + "</small>";
        cells.push_back({text, kind->perplexity() ? -1 : shown.score()});
      }
      if (cells.empty())
        for (report_run const* r : d.at(p, c, 0).runs) cells.push_back({score_text(*r, r->score)});
      if (!d.budgets.empty()) table.add(d.policies[p], cells);
      if (bounded) plots.add(d.policies[p], quality_plot(d, c, p, low, high));
    }
    if (!d.budgets.empty()) {
      page.add(plots);
      page.add(table);
    } else {
      for (std::size_t const p : rows) page.say(d.policies[p] + ": " + score_text(*kind, d.at(p, c, 0).score()));
    }
  }
}

}  // namespace programs
