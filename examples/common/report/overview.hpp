#pragma once
// The top of a report: what was run, and what came out best.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <common/report/page.hpp>
#include <common/report/report_data.hpp>
#include <common/table.hpp>

namespace programs {

inline std::string score_text(report_run const& kind, double score) {
  return kind.perplexity() ? fixed(score, 3) : fixed(100 * score, 1) + " %";
}

// "65.6 ± 7 %"
inline std::string plus_minus(double share, double half) {
  return fixed(100 * share, 1) + (std::isnan(half) ? "" : " ± " + fixed(100 * half, 0)) + " %";
}

inline std::string in_one_line(std::vector<std::string> const& words) {
  std::string all;
  for (std::string const& w : words) all += (all.empty() ? "" : ", ") + w;
  return all;
}

// Policies at a budget whose score is best in a column, and how many others are not told apart from them.
struct report_winners {
  std::vector<std::size_t> best;
  std::size_t near = 0;  // others
};
inline report_winners winners_of(report_data const& d, std::size_t column, std::size_t budget) {
  report_winners w;
  double const sign = d.perplexity(column) ? -1 : 1;
  for (std::size_t const p : d.ranked()) {
    report_point const& one = d.at(p, column, budget);
    if (one.runs.empty() || std::isnan(one.score())) continue;
    double const ahead = w.best.empty() ? 1.0 : sign * (one.score() - d.at(w.best.front(), column, budget).score());
    if (ahead > 0) w.best = {p};
    else if (ahead == 0) w.best.push_back(p);
  }
  if (w.best.empty()) return w;
  report_point const& top = d.at(w.best.front(), column, budget);
  for (std::size_t const p : d.ranked()) {
    report_point const& one = d.at(p, column, budget);
    if (one.runs.empty() || std::find(w.best.begin(), w.best.end(), p) != w.best.end()) continue;
    w.near += alike(top, one) ? 1u : 0u;
  }
  return w;
}

inline void add_overview(report_page& page, report_data const& d) {
  auto const order = d.ranked();
  std::size_t scored = 0;
  for (std::size_t c = 0; c < d.columns.size(); ++c) scored += d.perplexity(c) ? 0u : 1u;

  if (!order.empty() && scored > 0) {
    std::string won;
    for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
      double best = -1, width = unknown;
      std::string names;
      for (std::size_t const p : order) {
        double const one = d.mean_score(p, b);
        if (std::isnan(one) || one < best - 1e-9) continue;
        bool const ahead = one > best + 1e-9;
        if (ahead) width = d.half_width(p, b);
        names = ahead ? d.policies[p] : names + " and " + d.policies[p];
        best = std::max(best, one);
      }
      if (names.empty()) continue;
      won += (won.empty() ? "" : "; ") + ("at " + d.budgets[b - 1] + " " + names) + ", " + plus_minus(best, width);
    }
    std::string full;
    for (std::size_t p = 0; p < d.policies.size(); ++p)
      if (d.policies[p] == "full" && !std::isnan(d.mean_score(p, 0))) full = " The full cache: " + fixed(100 * d.mean_score(p, 0), 1) + " %.";
    if (!won.empty())
      page.say("Best over " + std::string(scored == 1 ? "the task" : "all " + std::to_string(scored) + " scored tasks") + " (mean score and its 95 % interval): " + won + "." + full,
               "lead");
  }

  std::set<std::string> models, seeds, samples, lengths;
  double seconds = 0;
  for (report_run const& r : d.runs) {
    models.insert(r.model.empty() ? "the shipped one" : r.model);
    seeds.insert(std::to_string(r.seed));
    samples.insert(std::to_string(r.samples));
    if (r.length != 0) lengths.insert(std::to_string(r.length));
    if (!std::isnan(r.seconds)) seconds += r.seconds;
  }
  auto const listed = [](std::set<std::string> const& all) { return in_one_line({all.begin(), all.end()}); };
  page.facts({{"runs", std::to_string(d.runs.size()) + ", " + fixed(seconds / 60, 1) + " minutes of answering"},
              {"checkpoint", listed(models)},
              {"tasks", in_one_line(d.columns)},
              {"policies", in_one_line(d.policies)},
              {"budgets", d.budgets.empty() ? "none" : in_one_line(d.budgets)},
              {"samples", listed(samples) + " a run, of seed " + listed(seeds)},
              {"prompt tokens", lengths.empty() ? "as the tasks have them" : "at most " + listed(lengths)}});
  page.contents();

  page.section("best", "What won");
  std::vector<std::string> header{"budget"};
  for (std::string const& c : d.columns) header.push_back(c);
  report_table winners("Best policy by task and budget. +N: so many others cannot be told apart from it with 95 % confidence, by the samples that both answered.", header, true);
  for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
    std::vector<report_cell> cells;
    for (std::size_t c = 0; c < d.columns.size(); ++c) {
      report_winners const w = winners_of(d, c, b);
      if (w.best.empty()) {
        cells.push_back({"-"});
        continue;
      }
      report_point const& top = d.at(w.best.front(), c, b);
      std::vector<std::string> names;
      for (std::size_t i = 0; i < std::min<std::size_t>(w.best.size(), 2); ++i) names.push_back(d.policies[w.best[i]]);
      std::string text = escaped(in_one_line(names));
      if (w.best.size() > 2) text += " and " + std::to_string(w.best.size() - 2) + " as good";
      text += " <small>" + score_text(top.any(), top.score()) + (w.near > 0 ? ", +" + std::to_string(w.near) : "") + "</small>";
      cells.push_back({text, -1, false});
    }
    winners.add(d.budgets[b - 1], cells);
  }
  if (!d.budgets.empty()) page.add(winners);

  if (scored == 0 || order.empty()) return;
  header = {"policy"};
  for (std::string const& b : d.budgets) header.push_back(b);
  report_table means("Mean score of the tasks, best policy first", header);
  for (std::size_t const p : order) {
    std::vector<report_cell> cells;
    for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
      double const one = d.mean_score(p, b);
      cells.push_back({std::isnan(one) ? "-" : plus_minus(one, d.half_width(p, b)), std::isnan(one) ? -1 : one});
    }
    means.add(d.policies[p], cells);
  }
  page.add(means);
}

}  // namespace programs
