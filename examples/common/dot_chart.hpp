#pragma once
// A row a policy, a column a measure, a dot a budget: what many lines in one plot would hide. Numbers stand at the
// right.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <common/line_plot.hpp>
#include <common/svg.hpp>
#include <common/table.hpp>

namespace programs {

struct dot_measure {
  std::string title;                                            // with its unit
  std::vector<std::vector<double>> values{};                    // [row][series]; NaN: no dot
  double reference = std::numeric_limits<double>::quiet_NaN();  // a dashed line, of what is not held to a budget
  bool log = false;
  double low = std::numeric_limits<double>::quiet_NaN(), high = low;  // of the axis; from the values if not given
};

struct text_measure {
  std::string title;
  std::vector<std::string> values;  // [row]
};

struct dot_chart {
  std::string title, reference_label;
  std::vector<std::string> rows, series;  // series from the smallest budget to the largest
  std::vector<dot_measure> measures;
  std::vector<text_measure> texts;
};

inline std::string draw(dot_chart const& chart) {
  double const row_height = 24, top = 92, panel = 300, gap = 34;
  std::size_t longest = 0;
  for (std::string const& name : chart.rows) longest = std::max(longest, name.size());
  double const left = 24 + 7.0 * static_cast<double>(longest);
  double const n = static_cast<double>(chart.rows.size());
  double const base = top + n * row_height;
  double const texts_at = left + static_cast<double>(chart.measures.size()) * (panel + gap);
  double const text_width = 92;
  svg_page page(texts_at + text_width * static_cast<double>(chart.texts.size()) + 12, base + 48, chart.title);
  page.text(20, 28, chart.title, {.size = 16, .colour = "#111111", .bold = true});

  auto const ink = [&](std::size_t s) {
    return shade(chart.series.size() < 2
                     ? 1.0
                     : 0.32 + 0.68 * static_cast<double>(s) / static_cast<double>(chart.series.size() - 1));
  };
  double key = 24;
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    page.circle(key, 48, 5.5, ink(s));
    page.text(key + 11, 52, chart.series[s]);
    key += 34 + 7.0 * static_cast<double>(chart.series[s].size());
  }
  if (!chart.reference_label.empty()) {
    page.line(key - 4, 48, key + 20, 48, "#777777", 1.5, "4 4");
    page.text(key + 27, 52, chart.reference_label);
  }

  for (std::size_t r = 0; r < chart.rows.size(); ++r) {
    double const y = top + row_height * static_cast<double>(r);
    if (r % 2 == 0)
      page.rectangle(12, y, texts_at + text_width * static_cast<double>(chart.texts.size()) - 12, row_height,
                     "#f6f7f9");
    page.text(left - 8, y + row_height / 2 + 4, chart.rows[r], {.anchor = "end"});
  }
  for (std::size_t m = 0; m < chart.measures.size(); ++m) {
    dot_measure const& one = chart.measures[m];
    double const x0 = left + static_cast<double>(m) * (panel + gap), x1 = x0 + panel;
    double low = std::isnan(one.reference) ? std::numeric_limits<double>::infinity() : one.reference, high = -low;
    if (!std::isnan(one.reference)) high = one.reference;
    for (auto const& row : one.values)
      for (double const v : row)
        if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
    if (!std::isnan(one.low)) low = one.low;
    if (!std::isnan(one.high)) high = one.high;
    if (!(high > low)) high = low + (low == 0 ? 1 : std::abs(low) * 0.1);
    plot_axis const axis(low, high, one.log, x0 + 10, x1 - 10);
    page.text(x0 + panel / 2, top - 14, one.title, {.anchor = "middle", .size = 13, .bold = true});
    double last = -1e9;
    for (double const tick : axis.ticks(5)) {
      double const x = axis.at(tick);
      page.line(x, top, x, base, "#e2e4e8");
      double const half = 3.6 * static_cast<double>(tick_text(tick).size());
      if (x - half < last + 6) continue;
      page.text(x, base + 18, tick_text(tick), {.anchor = "middle"});
      last = x + half;
    }
    if (std::isfinite(one.reference))
      page.line(axis.at(one.reference), top, axis.at(one.reference), base, "#777777", 1.5, "4 4");
    for (std::size_t r = 0; r < one.values.size(); ++r) {
      double const y = top + row_height * (static_cast<double>(r) + 0.5);
      double from = std::numeric_limits<double>::infinity(), to = -from;
      for (double const v : one.values[r])
        if (std::isfinite(v)) from = std::min(from, v), to = std::max(to, v);
      if (to > from) page.line(axis.at(from), y, axis.at(to), y, "#b9c4d2", 2);
      for (std::size_t s = 0; s < one.values[r].size(); ++s) {
        double const v = one.values[r][s];
        if (std::isfinite(v))
          page.circle(axis.at(v), y, 5.5, ink(s), chart.rows[r] + ", " + chart.series[s] + ": " + tick_text(v));
      }
    }
  }
  for (std::size_t t = 0; t < chart.texts.size(); ++t) {
    double const x = texts_at + text_width * (static_cast<double>(t) + 1) - 14;
    page.text(x, top - 14, chart.texts[t].title, {.anchor = "end", .bold = true});
    for (std::size_t r = 0; r < chart.texts[t].values.size(); ++r)
      page.text(x, top + row_height * (static_cast<double>(r) + 0.5) + 4, chart.texts[t].values[r], {.anchor = "end"});
  }
  return page.finished();
}

}  // namespace programs
