#pragma once
// The runs of an experiment: what its parts draw, which runs they amount to, and how processes share them.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <common/lab_options.hpp>
#include <common/perplexity_task.hpp>
#include <common/result_log.hpp>
#include <common/tasks/samples_of_task.hpp>

namespace programs {

// What one command line, or one checkpoint, seed, task and policy of an experiment, comes to.
struct lab_part {
  lab_options asked;
  std::shared_ptr<loaded_model const> model;
  std::map<std::pair<std::string, std::uint64_t>, samples_of_task> drawn{};  // by task and length
  std::optional<windowed_text> text{};
  std::vector<lab_run> runs{};
};

// Fills in what lab takes where nothing is said, and refuses what cannot run. Returns whether answers are to be kept.
bool complete(lab_options& a);

// Loads models, draws samples and lists the runs of every part; equal runs stand once. Throws usage_error or bad_file.
std::vector<lab_part> prepare(std::vector<lab_options> const& asked);

// Runs what is not done yet in several processes; every run has its result then.
// The first error ends all of them; what is done is in the log.
void run_all(std::vector<lab_part>& parts, run_sharing const& processes, result_log& log);

}  // namespace programs
