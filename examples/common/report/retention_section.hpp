#pragma once
// What was kept where: position by layer, of one prompt.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/report/overview.hpp>

namespace programs {

// A band a budget, the largest on top; in it a stripe a layer, the first on top.
inline std::string retention_picture(report_data const& d, std::size_t column, std::size_t policy) {
  double const left = 34, width = 270, top = 6, stripe = 6, gap = 7;
  double y = top;
  struct band {
    std::string name;
    report_run const* run;
  };
  std::vector<band> bands;
  for (std::size_t b = d.budgets.size(); b >= 1; --b)
    for (report_run const* r : d.at(policy, column, b).runs)
      if (!r->kept.empty()) {
        bands.push_back({d.budgets[b - 1], r});
        break;
      }
  double height = top;
  for (band const& one : bands) height += stripe * static_cast<double>(one.run->kept.size()) + gap;
  svg_page page(310, height + 16, d.policies[policy] + ", " + d.columns[column] + ": what was kept where");
  for (band const& one : bands) {
    double const tall = stripe * static_cast<double>(one.run->kept.size());
    page.text(left - 4, y + tall / 2 + 4, one.name, {.anchor = "end", .size = 11});
    for (std::size_t l = 0; l < one.run->kept.size(); ++l) {
      auto const& row = one.run->kept[l];
      double const cell = width / static_cast<double>(row.size());
      for (std::size_t i = 0, n = 1; i < row.size(); i += n) {
        auto const tone = [&](std::size_t k) { return shade(std::round(10 * row[k]) / 10); };
        for (n = 1; i + n < row.size() && tone(i + n) == tone(i); ++n) {
        }
        page.rectangle(left + cell * static_cast<double>(i), y + stripe * static_cast<double>(l),
                       cell * static_cast<double>(n) + 0.05, stripe - 0.5, tone(i));
      }
    }
    y += tall + gap;
  }
  page.text(left, height + 10, "begin", {.size = 11});
  page.text(left + width, height + 10, "end of the prompt and answer", {.anchor = "end", .size = 11});
  return page.finished();
}

inline void add_retention(report_page& page, report_data const& d) {
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < d.columns.size(); ++c)
    for (report_run const& r : d.runs)
      if (!r.kept.empty() && d.first_of(c) != nullptr && r.task == d.first_of(c)->task && r.length == d.first_of(c)->length && r.model == d.first_of(c)->model) {
        columns.push_back(c);
        break;
      }
  if (columns.empty() || d.budgets.empty()) return;
  page.section("retention", "What was kept where");
  page.say("One prompt and its answer from left to right; a band a budget, in it a stripe a layer, the first layer on top. The darker, the more of the KV heads still hold the tokens there: pale none, dark all.", "soft");
  for (std::size_t const c : columns) {
    page.heading(d.columns[c]);
    report_grid maps;
    for (std::size_t const p : d.ranked()) {
      bool any = false;
      for (std::size_t b = 1; b <= d.budgets.size(); ++b)
        for (report_run const* r : d.at(p, c, b).runs) any = any || !r->kept.empty();
      if (any) maps.add(d.policies[p], retention_picture(d, c, p));
    }
    std::string wide = maps.finished();
    wide.replace(wide.find("\"grid\""), 6, "\"grid wide\"");
    page.add_markup(wide);
  }
}

}  // namespace programs
