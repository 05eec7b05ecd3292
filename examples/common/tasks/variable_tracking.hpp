#pragma once
// A number that is handed on from word to word, the steps hidden in filler in their order; what the last word has is
// asked.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/tasks/haystack.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>

namespace programs {

// Two chains of a number and `hops` steps; one of them is asked for.
inline task variable_tracking_task(std::string const& name, std::size_t hops, std::string const& running) {
  task t{name, {"exact_match"}};
  t.draw = [name, hops, hay = haystack(running)](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      auto const words = draw.some(recall_words(), 2 * (hops + 1));
      std::size_t const chain = words.size() / 2;
      sample s;
      std::vector<needle> needles;
      for (std::size_t c = 0; c < 2; ++c) {
        std::string const code = draw.number(3);
        if (c == 0) s.answers = {code};
        std::vector<double> depths;
        for (std::size_t k = 0; k < chain; ++k) depths.push_back(draw.share());
        std::sort(depths.begin(), depths.end());
        for (std::size_t k = 0; k < chain; ++k)
          needles.push_back({depths[k], "The code of the " + words[c * chain + k] + " is " +
                                            (k == 0 ? code : "the code of the " + words[c * chain + k - 1]) + ". "});
      }
      std::string const& last = words[chain - 1];
      s.new_tokens = 6;
      s.characters = 3;
      s.stop = {".", "\n"};
      s.prompt =
          hide(text, hay, draw, std::move(needles),
               "What is the code of the " + last + "? The code of the " + last + " is ", asked.length, s.new_tokens);
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
