#pragma once
// Bytes of the caches, and what the allocator says of the whole run.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/report/overview.hpp>

namespace programs {

inline void add_memory(report_page& page, report_data const& d) {
  page.section("memory", "Memory");
  page.say("Cache: K, V, positions and columns as the cache counts them. Heap: what the C library's allocator had handed out more than before the run, with the "
           "model's work space, at its peak; in brackets what it came to in the end, where that is less. It was looked at when the session was made, which takes all its memory then, "
           "and behind every answer. Blocks of 2 MiB and more begin at a boundary of 2 MiB: what is rounded up, and lies before the boundary, counts, and makes steps of up to 4 MiB.", "soft");
  std::vector<std::string> header{"policy"};
  for (std::string const& b : d.budgets) header.push_back(b);
  auto const table_of = [&](std::string const& caption, double report_run::*field) {
    double most = 0;
    std::vector<std::size_t> rows = d.ranked();
    for (std::size_t p = 0; p < d.policies.size(); ++p) {
      if (!std::isnan(d.mean(p, 0, field))) rows.push_back(p);
      for (std::size_t b = 0; b <= d.budgets.size(); ++b)
        if (double const one = d.mean(p, b, field); !std::isnan(one)) most = std::max(most, one);
    }
    if (most == 0) return;
    report_table table(caption, header);
    for (std::size_t const p : rows) {
      std::vector<report_cell> cells;
      for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
        double one = d.mean(p, b, field);
        if (std::isnan(one)) one = d.mean(p, 0, field);
        std::string text = std::isnan(one) ? "-" : fixed(one / 1024, 0);
        if (field == &report_run::heap_peak) {
          double const end = std::isnan(d.mean(p, b, field)) ? d.mean(p, 0, &report_run::heap_steady) : d.mean(p, b, &report_run::heap_steady);
          if (end < 0.995 * one) text += " <small>(" + fixed(end / 1024, 0) + ")</small>";
        }
        cells.push_back({text, std::isnan(one) ? -1 : one / most});
      }
      table.add(d.policies[p], cells);
    }
    if (!d.budgets.empty()) page.add(table);
  };
  table_of("Cache, KiB, mean of the tasks that every policy has", &report_run::cache);
  table_of("Heap, KiB, measured: peak (steady, where it is less), mean of the tasks that every policy has", &report_run::heap_peak);
}

}  // namespace programs
