#pragma once
// What lab was asked for, and what a run of it is called: in the log, as a folder, as a command.
#include <cstdint>
#include <string>
#include <vector>

#include <common/lab_run.hpp>
#include <common/shared_options.hpp>

namespace programs {

// Who shares the runs.
struct run_sharing {
  std::uint64_t jobs = 0;                // processes; 0: as many as the machine has threads, and one where there is a GPU
  std::vector<std::uint32_t> devices{};  // GPUs by CUDA's numbers, a process each; none: the first, for one process
};

// What its command line says.
struct lab_options {
  shared_options shared;
  std::vector<std::string> tasks;
  std::string text, haystack, data;
  std::vector<std::uint32_t> lengths{};  // none: those of each task
  std::uint64_t tokens = 4096, window = 0, from = 1;
  std::uint64_t prompts = 25, depths = 5;
  run_sharing processes{};
  std::uint64_t probe = 1;    // prompts of a task whose attention is compared with a full cache's
  std::string checkpoint{};   // what folders call the model where there are several; "": it is the only one
  bool as_json = false, commands = false;
};

// JSON; equal text, equal run.
std::string key_of(lab_options const& a, lab_run const& r);

// The same for any number of prompts: those that a folder has are kept when more are asked for.
std::string folder_key_of(lab_options const& a, lab_run const& r);

// OUT/<policy-parameters>/<task>: what differs from the defaults is in the name. "": perplexity, or no OUT.
std::string folder_of(lab_options const& a, lab_run const& r);

// The command line that runs it alone.
std::string command_of(lab_options const& a, lab_run const& r);

}  // namespace programs
