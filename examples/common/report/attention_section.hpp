#pragma once
// Recovered attention mass and attention loss, by policy and budget, and beside the scores.
#include <cmath>
#include <string>
#include <vector>

#include <common/line_plot.hpp>
#include <common/report/overview.hpp>

namespace programs {

// A dot a run: what the cache recovered, and how well it did.
inline std::string recovered_plot(report_data const& d, std::size_t column) {
  double const left = 40, right = 300, top = 12, base = 172;
  svg_page page(310, 206, d.columns[column] + ": score against recovered attention mass");
  plot_axis const x(0, 1, false, left, right), y(0, 1, false, base, top);
  for (double const tick : {0.0, 0.5, 1.0}) {
    page.line(left, y.at(tick), right, y.at(tick), "#e4e4e4");
    page.text(left - 5, y.at(tick) + 4, fixed(100 * tick, 0), {.anchor = "end"});
    page.text(x.at(tick), base + 16, fixed(100 * tick, 0), {.anchor = tick == 1 ? "end" : "middle"});
  }
  page.text((left + right) / 2, base + 30, "recovered attention mass, %", {.anchor = "middle"});
  page.text(11, (top + base) / 2, "score, %", {.anchor = "middle", .turn = -90});
  for (std::size_t const p : d.ranked())
    for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
      report_point const& one = d.at(p, column, b);
      double const mass = one.runs.empty() ? unknown : one.mean(&report_run::recovered);
      if (!std::isnan(mass))
        page.circle(x.at(mass), y.at(one.score()), 4, "#0072b2", d.policies[p] + " " + d.budgets[b - 1] + ": " + fixed(100 * mass, 1) + " %, score " + score_text(one.any(), one.score()));
    }
  return page.finished();
}

inline void add_attention(report_page& page, report_data const& d) {
  bool any = false;
  for (report_run const& r : d.runs) any = any || !std::isnan(r.recovered);
  if (!any) return;
  page.section("attention", "Attention: recovered and lost");
  page.say("Of the attention that a full cache pays while a given answer is read, the share that falls on tokens the policy still holds: mean of steps, layers and heads. "
           "Attention loss is what is missing to 100 %.", "soft");
  std::vector<std::string> header{"policy"};
  for (std::string const& b : d.budgets) header.push_back(b);
  report_table table("Recovered attention mass, mean of the tasks that every policy has; in brackets the attention loss", header);
  for (std::size_t const p : d.ranked()) {
    std::vector<report_cell> cells;
    for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
      double const mass = d.mean(p, b, &report_run::recovered);
      cells.push_back({std::isnan(mass) ? "-" : fixed(100 * mass, 1) + " % <small>(" + fixed(1 - mass, 4) + ")</small>", std::isnan(mass) ? -1 : mass});
    }
    table.add(d.policies[p], cells);
  }
  page.add(table);
  report_grid plots;
  std::size_t shown = 0;
  for (std::size_t c = 0; c < d.columns.size(); ++c)
    if (!d.perplexity(c)) plots.add(d.columns[c], recovered_plot(d, c)), ++shown;
  if (shown > 0 && !d.budgets.empty()) {
    page.say("Does what is recovered tell how well it goes? A dot a policy and budget.", "soft");
    std::string wide = plots.finished();
    wide.replace(wide.find("\"grid\""), 6, "\"grid wide\"");
    page.add_markup(wide);
  }
}

}  // namespace programs
