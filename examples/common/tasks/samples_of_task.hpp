#pragma once
// A task with the prompts that were drawn of it.
#include <cstdint>
#include <string>
#include <vector>

#include <common/tasks/task.hpp>

namespace programs {

struct samples_of_task {
  task asked;
  std::uint64_t length;
  std::vector<sample> samples;

  // Tells tasks, data and versions of them apart by what they ask first. FNV-1a.
  std::string fingerprint() const {
    std::uint64_t hash = 0xcbf29ce484222325u;
    auto const add = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
    for (char const c : asked.source) add(static_cast<unsigned char>(c));
    for (std::uint32_t const token : samples.front().prompt) add(token);
    for (std::string const& answer : samples.front().answers)
      for (char const c : answer) add(static_cast<unsigned char>(c));
    return std::to_string(hash);
  }
};

}  // namespace programs
