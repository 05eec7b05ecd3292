#include <common/tasks/task.hpp>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <common/errors.hpp>
#include <common/tasks/common_words.hpp>
#include <common/tasks/key_value_task.hpp>
#include <common/tasks/needle_tasks.hpp>
#include <common/tasks/passkey.hpp>
#include <common/tasks/prompt_file.hpp>
#include <common/tasks/reconstruction.hpp>
#include <common/tasks/task_file.hpp>
#include <common/tasks/variable_tracking.hpp>

namespace programs {

namespace {

struct generated {
  char const* name;
  std::size_t usual, least, most;  // the N of NAME:N; most is 0: it takes none
  task (*make)(std::string const& name, std::size_t n, std::string const& running);
};

std::vector<generated> const& all_generated() {
  static std::vector<generated> const tasks{
      {"passkey", 0, 0, 0,
       [](std::string const& name, std::size_t, std::string const&) { return passkey_as_task(name); }},
      {"needle", 0, 0, 0,
       [](std::string const& name, std::size_t, std::string const& r) { return needle_task(name, 1, r); }},
      {"multi_key", 4, 2, 100, needle_task},
      {"multi_value", 2, 2, 20, multi_value_task},
      {"key_value", 0, 0, 0,
       [](std::string const& name, std::size_t, std::string const&) { return key_value_task(name); }},
      {"variable_tracking", 2, 1, 20, variable_tracking_task},
      {"common_words", 3, 1, 20,
       [](std::string const& name, std::size_t n, std::string const&) { return common_words_task(name, n); }},
      {"reconstruction", 8, 1, 100, reconstruction_task},
  };
  return tasks;
}

}  // namespace

std::vector<std::string> generated_tasks() {
  std::vector<std::string> names;
  for (generated const& g : all_generated()) names.emplace_back(g.name);
  return names;
}

task find_task(std::string const& name, task_sources const& sources) {
  std::size_t const colon = name.find(':');
  std::string const bare = name.substr(0, colon);
  std::string known;
  for (generated const& g : all_generated()) {
    known += std::string(known.empty() ? "" : ", ") + g.name;
    if (bare != g.name) continue;
    if (colon == std::string::npos) return g.make(name, g.usual, sources.haystack);
    std::string const number = name.substr(colon + 1);
    if (g.most == 0) throw usage_error("--tasks is '" + name + "'; " + g.name + " takes no number, give it alone");
    bool const digits =
        !number.empty() && number.size() < 7 && number.find_first_not_of("0123456789") == std::string::npos;
    std::size_t const n = digits ? std::strtoul(number.c_str(), nullptr, 10) : 0;
    if (n < g.least || n > g.most)
      throw usage_error("--tasks is '" + name + "'; give " + g.name + ":N with N from " + std::to_string(g.least) +
                        " to " + std::to_string(g.most));
    return g.make(name, n, sources.haystack);
  }
  if (name.ends_with(".jsonl")) return prompt_file_task(name);
  if (name.ends_with(".json")) return load_task(name, sources.data);
  if (std::string const path = shipped_task(name); !path.empty()) return load_task(path, sources.data);
  throw usage_error("--tasks is '" + name +
                    "'; give perplexity, a task file (.json), one that is shipped, prompts (.jsonl), or one of " +
                    known);
}

}  // namespace programs
