#pragma once
// The report of an experiment: one HTML file that needs nothing else.
#include <string>

namespace programs {

// The page, made from lab.jsonl in `folder`. Throws usage_error or bad_file.
std::string lab_report(std::string const& folder);

}  // namespace programs
