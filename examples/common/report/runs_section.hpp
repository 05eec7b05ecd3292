#pragma once
// Every run, its figures, and the command that runs it again.
#include <cmath>
#include <string>
#include <vector>

#include <common/report/overview.hpp>

namespace programs {

inline void add_runs(report_page& page, report_data const& d) {
  page.section("runs", "Every run");
  page.say("The command runs it alone; answers go to the folder results unless --out says otherwise, pass keys and perplexity print a table.", "soft");
  report_table table(std::to_string(d.runs.size()) + " runs, as they were finished",
                     {"policy", "budget", "slots", "task", "tokens", "seed", "samples", "score", "cache KiB", "heap peak KiB", "prefill s", "decode s", "recovered", "command"});
  for (report_run const& r : d.runs) {
    auto const known = [](double value, double by, int places) { return std::isnan(value) ? std::string("-") : fixed(value / by, places); };
    table.add(r.policy,
              {{r.budget.empty() ? "-" : escaped(r.budget)},
               {r.slots == 0 ? "-" : std::to_string(r.slots)},
               {escaped(r.task), -1, false},
               {r.length == 0 ? "-" : std::to_string(r.length)},
               {std::to_string(r.seed)},
               {std::to_string(r.samples)},
               {score_text(r, r.score)},
               {known(r.cache, 1024, 0)},
               {known(r.heap_peak, 1024, 0)},
               {known(r.prefill, 1, 3)},
               {known(r.decode, 1, 3)},
               {std::isnan(r.recovered) ? "-" : fixed(100 * r.recovered, 1) + " %"},
               {"<code>" + escaped(r.command) + "</code>", -1, false}},
              "data-run=\"\"");
  }
  page.add(table);
}

}  // namespace programs
