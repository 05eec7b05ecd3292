#pragma once
// Scores by a program of the user's: it reads predictions, and writes a number for each.
#include <string>
#include <string_view>
#include <vector>

namespace programs {

// "command:COMMAND" is a metric by such a program.
inline constexpr std::string_view command_metric = "command:";

// Runs the command in a shell with `rows`, JSON a line, on its standard input; a number a row, one a line, is what it
// has to write. Throws usage_error naming the command: a status other than 0, another number of lines, a line that is
// no number.
std::vector<double> judged_by(std::string const& command, std::vector<std::string> const& rows);

}  // namespace programs
