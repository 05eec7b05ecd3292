#pragma once
// One run of lab, and what came out of it.
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <common/attention_probe.hpp>
#include <common/lab_experiment.hpp>

namespace programs {

// What the full cache attends to in the prompts of one task, kept for the policies that are compared with it.
class full_attentions {
 public:
  full_attention const& of(loaded_model const& m, std::string const& task, probe_text const& text);

 private:
  std::string task_;
  std::map<std::vector<std::uint32_t>, full_attention> known_;
};

// Runs what is not done yet, and returns the result as JSON; tick(steps that are done since).
std::string result_of(lab_part const& part, lab_run const& r, full_attentions& looked,
                      std::function<void(std::size_t)> const& tick);

}  // namespace programs
