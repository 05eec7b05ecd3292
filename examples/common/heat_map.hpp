#pragma once
// Panels of coloured cells side by side, each cell with its value: rows x columns, one panel a series.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/svg.hpp>
#include <common/table.hpp>

namespace programs {

struct heat_panel {
  std::string name;
  std::vector<std::vector<double>> cells;  // [row][column], in [0, 1]; NaN is an empty cell
};

struct heat_map {
  std::string title, row_label, column_label, value_label;
  std::vector<std::string> rows, columns;
  std::vector<heat_panel> panels;
};

// Cells show their value in percent. Panels stand three in a row.
inline std::string draw(heat_map const& map) {
  double const cell_height = 30;
  double widest = 0, row_text = 0;
  for (std::string const& name : map.columns) widest = std::max(widest, 7.0 * static_cast<double>(name.size()) + 14);
  for (std::string const& name : map.rows) row_text = std::max(row_text, 7.0 * static_cast<double>(name.size()));
  double const cell_width = std::max(52.0, widest);
  std::size_t const across = std::min<std::size_t>(std::max<std::size_t>(map.panels.size(), 1), 3);
  std::size_t const down = (map.panels.size() + across - 1) / across;
  double const panel_width = std::max(cell_width * static_cast<double>(map.columns.size()), 150.0);
  double const panel_height = cell_height * static_cast<double>(map.rows.size());
  double const left = 40 + row_text + 8, gap_x = row_text + 48, gap_y = 86;
  double const across_px = static_cast<double>(across), down_px = static_cast<double>(down);
  double const width = std::max(left + across_px * panel_width + (across_px - 1) * gap_x + 24, 480.0);
  double const height = 76 + down_px * panel_height + (down_px - 1) * gap_y + 60 + 46;

  svg_page page(width, height, map.title);
  page.text(20, 28, map.title, {.size = 16, .colour = "#111111", .bold = true});
  for (std::size_t p = 0; p < map.panels.size(); ++p) {
    double const x0 = left + static_cast<double>(p % across) * (panel_width + gap_x);
    double const y0 = 76 + static_cast<double>(p / across) * (panel_height + gap_y);
    page.text(x0, y0 - 10, map.panels[p].name, {.size = 13, .bold = true});
    for (std::size_t r = 0; r < map.rows.size(); ++r) {
      double const y = y0 + cell_height * static_cast<double>(r);
      page.text(x0 - 8, y + cell_height / 2 + 4, map.rows[r], {.anchor = "end"});
      for (std::size_t c = 0; c < map.columns.size(); ++c) {
        double const value = map.panels[p].cells.at(r).at(c);
        double const x = x0 + cell_width * static_cast<double>(c);
        page.rectangle(x + 1, y + 1, cell_width - 2, cell_height - 2, shade(value));
        if (std::isfinite(value)) {
          page.text(x + cell_width / 2, y + cell_height / 2 + 4, fixed(100 * value, 0),
                    {.anchor = "middle", .colour = value > 0.5 ? "#ffffff" : "#222222"});
        }
      }
    }
    double const base = y0 + panel_height;
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      page.text(x0 + cell_width * (static_cast<double>(c) + 0.5), base + 18, map.columns[c], {.anchor = "middle"});
    }
    page.text(x0 + cell_width * static_cast<double>(map.columns.size()) / 2, base + 38, map.column_label,
              {.anchor = "middle", .size = 13});
    if (p % across == 0) {
      page.text(18, y0 + panel_height / 2, map.row_label, {.anchor = "middle", .size = 13, .turn = -90});
    }
  }
  double const bar = height - 26;
  page.text(left - 8, bar + 11, "0 %", {.anchor = "end"});
  for (int i = 0; i < 40; ++i) page.rectangle(left + 4 * i, bar, 4.5, 14, shade(i / 39.0));
  page.text(left + 168, bar + 11, "100 %  " + map.value_label);
  return page.finished();
}

}  // namespace programs
