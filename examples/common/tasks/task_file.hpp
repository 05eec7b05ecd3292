#pragma once
// Tasks from files: a JSON object that says how rows of data become prompts and answers.
#include <string>

#include <common/tasks/task.hpp>

namespace programs {

// `data`: file with the rows, or folder that holds the file which the task names; "": beside the task file. Fields are
// in docs/guide/tasks.md. Throws bad_file naming file and field; drawing throws it naming the row.
task load_task(std::string const& path, std::string const& data);

// The path of a task file NAME.json that is shipped; "" if there is none.
std::string shipped_task(std::string const& name);

}  // namespace programs
