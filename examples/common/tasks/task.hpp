#pragma once
// A task: prompts with known answers, how a model is made to answer them, and how the answers are judged.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <common/metrics/metric.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace programs {

// One prompt. The model answers greedily, until it has drawn `new_tokens`, has written a `stop`, or ends the text
// itself.
struct sample {
  std::vector<std::uint32_t> prompt;  // BOS first
  std::vector<std::string> answers;
  std::vector<std::string> classes{};  // of class_match
  std::vector<std::string> choices{};  // the likeliest of them is the answer; none: the model writes
  std::size_t new_tokens = 1;
  std::vector<std::string> stop{};  // where one begins behind white space in front, the answer ends
  std::size_t characters = 0;       // of an answer at most, spaces in front left out; 0: as many as there are
  std::size_t words = 0;            // of an answer at most; 0: as many as there are
  // Share of the filler before what is asked for; NaN: it stands at no depth.
  double depth = std::numeric_limits<double>::quiet_NaN();

  std::size_t tokens() const { return prompt.size() + new_tokens; }
};

struct draw_request {
  std::uint64_t seed = 1;
  std::size_t count = 1;
  std::size_t length = 1000;  // tokens of a prompt and its answer, at most; 0, of task files only: as many as there are
  std::size_t depths = 5;     // sample i of a task with a depth stands at depth (i mod depths) / (depths - 1)
};

// Depth of sample i. A single depth is the middle.
inline double depth_of(std::size_t i, std::size_t depths) {
  return depths <= 1 ? 0.5 : static_cast<double>(i % depths) / static_cast<double>(depths - 1);
}

struct task {
  std::string name;
  std::vector<std::string> metrics;  // the first is the score
  // Samples of a seed: the same on every machine, and the first of them the same however many are drawn. Throws
  // usage_error where a prompt has no room.
  std::function<std::vector<sample>(reference_model::tokenizer const&, draw_request const&)> draw{};
  bool has_depth = false;           // what is asked for stands at a depth
  std::size_t usual_length = 1000;  // of its prompts where nothing else is asked for; 0: as long as they are
  std::string source{};             // what its file says

  double score(std::string const& prediction, sample const& s) const {
    return find_metric(metrics.front(), name)({prediction, s.answers, s.classes});
  }
};

// What a task may be made of, where the user gives it.
struct task_sources {
  std::string haystack{};  // text that needles are hidden in, and that is reconstructed; "": drawn sentences and words
  std::string data{};      // path, in place of the one in a task file
};

// The generated task NAME or NAME:N (N needles, values, hops, words), a task file: a path, or the name of one that is
// shipped, or a file of prompts (.jsonl). Throws usage_error or bad_file.
task find_task(std::string const& name, task_sources const& sources);

// The names of the generated ones.
std::vector<std::string> generated_tasks();

}  // namespace programs
