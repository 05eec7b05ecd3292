#pragma once
// How fast prompts go in and answers come out.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/report/overview.hpp>

namespace programs {

inline void add_times(report_page& page, report_data const& d) {
  page.section("time", "Prefill and decode time");
  page.say("Milliseconds, mean of the tasks that every policy has. Prefill: a prompt, with the eviction behind it, until the first token of the answer is known. Decode: a token that is fed and evicted behind. "
           "Runs that went on at the same time share the machine, which these figures show.", "soft");
  std::vector<std::string> header{"policy"};
  for (std::string const& b : d.budgets) header.push_back(b);
  auto const table_of = [&](std::string const& caption, double report_run::*spent, int places, auto const& units) {
    auto const value = [&](std::size_t p, std::size_t b) {
      double sum = 0, n = 0;
      for (std::size_t c = 0; c < d.columns.size(); ++c) {
        if (!d.for_all(c)) continue;
        for (report_run const* r : d.at(p, c, b).runs)
          if (double const per = units(*r); per > 0 && r->*spent > 0) sum += 1000 * (r->*spent) / per, n += 1;
      }
      return n > 0 ? sum / n : unknown;
    };
    double most = 0;
    std::vector<std::size_t> rows = d.ranked();
    for (std::size_t p = 0; p < d.policies.size(); ++p) {
      if (!std::isnan(value(p, 0))) rows.push_back(p);
      for (std::size_t b = 0; b <= d.budgets.size(); ++b)
        if (double const one = value(p, b); !std::isnan(one)) most = std::max(most, one);
    }
    if (most == 0 || d.budgets.empty()) return;
    report_table table(caption, header);
    for (std::size_t const p : rows) {
      std::vector<report_cell> cells;
      for (std::size_t b = 1; b <= d.budgets.size(); ++b) {
        double one = value(p, b);
        if (std::isnan(one)) one = value(p, 0);
        cells.push_back({fixed(one, places), std::isnan(one) ? -1 : one / most});
      }
      table.add(d.policies[p], cells);
    }
    page.add(table);
  };
  table_of("Prefill, ms a prompt", &report_run::prefill, 1, [](report_run const& r) { return static_cast<double>(r.samples); });
  table_of("Decode, ms a token", &report_run::decode, 2, [](report_run const& r) { return r.steps; });
}

}  // namespace programs
