#pragma once
// An experiment of lab as a JSON file, and the one that a command line amounts to.
#include <string>
#include <vector>

#include <common/lab_options.hpp>

namespace programs {

// checkpoint x seed x policy x settings of a task, each as lab's command line would say it. Throws bad_file: one line
// with field, value, limit and remedy.
std::vector<lab_options> read_experiment(std::string const& path);

// The same experiment as a file, of a command line.
std::string as_experiment(lab_options const& a);

}  // namespace programs
