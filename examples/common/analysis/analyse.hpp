#pragma once
// lab analyse: what the attention of a full cache says of policies, and of the statistic that roco goes by.
#include <cstdint>
#include <string>

#include <common/shared_options.hpp>

namespace programs {

struct analyse_options {
  shared_options shared;
  std::string text;
  std::uint64_t tokens = 1024, from = 512, sinks = 4;
  bool as_json = false;
};
void add_analyse_options(command_line& line, analyse_options& o);

// Prints overlap and recovered attention of every policy, and deviation by age. Throws usage_error or bad_file.
int analyse(analyse_options const& o);

}  // namespace programs
