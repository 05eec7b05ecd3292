#pragma once
// What sets runs apart that would stand in one place of a table or picture.
#include <set>
#include <string>
#include <vector>

namespace programs {

// `runs`: what was run, as the JSON of its key. `places`: runs of equal text would stand in one place. A text a run:
// " field=value" for every field in which two runs of one place differ; "" where there is none. Not heeded: `but`, and
// what a run was drawn from, which follows from the rest.
std::vector<std::string> run_differences(std::vector<std::string> const& runs, std::vector<std::string> const& places,
                                         std::set<std::string> const& but);

}  // namespace programs
