#pragma once
// A task with the prompts that were drawn of it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <common/fnv1a.hpp>
#include <common/tasks/task.hpp>

namespace programs {

struct samples_of_task {
  task asked;
  std::uint64_t length;
  std::vector<sample> samples;

  // Tells tasks, data and versions of them apart by what the first `count` of them ask.
  std::string fingerprint(std::size_t count) const {
    fnv1a sum;
    sum.add(asked.source);
    for (std::size_t i = 0; i < count && i < samples.size(); ++i) {
      for (std::uint32_t const token : samples[i].prompt) sum.add_word(token);
      for (std::string const& answer : samples[i].answers) sum.add(answer);
    }
    return sum.hex();
  }
};

}  // namespace programs
