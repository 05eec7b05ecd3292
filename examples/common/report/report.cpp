#include <common/report/report.hpp>

#include <common/report/attention_section.hpp>
#include <common/report/memory_section.hpp>
#include <common/report/overview.hpp>
#include <common/report/page.hpp>
#include <common/report/quality_section.hpp>
#include <common/report/report_data.hpp>
#include <common/report/retention_section.hpp>
#include <common/report/runs_section.hpp>
#include <common/report/time_section.hpp>

namespace programs {

std::string lab_report(std::string const& folder) {
  report_data const d = read_results(folder);
  report_page page("Eviction policies side by side");
  add_overview(page, d);
  add_quality(page, d);
  add_attention(page, d);
  add_memory(page, d);
  add_times(page, d);
  add_retention(page, d);
  add_runs(page, d);
  return page.finished();
}

}  // namespace programs
