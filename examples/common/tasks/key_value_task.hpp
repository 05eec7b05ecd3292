#pragma once
// Words with a number each, nothing between them, as many as the prompt has room for; one is asked for.
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/errors.hpp>
#include <common/tasks/draws.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>

namespace programs {

inline task key_value_task(std::string const& name) {
  task t{name, {"exact_match"}};
  t.has_depth = true;
  t.draw = [name](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      auto const words = draw.some(recall_words(), recall_words().size());
      std::vector<std::string> codes;
      for (std::size_t k = 0; k < words.size(); ++k) codes.push_back(draw.number(3));
      sample s;
      s.depth = depth_of(i, asked.depths);
      s.new_tokens = 6;
      s.characters = 3;
      s.stop = {".", "\n"};
      std::size_t which = 0;
      auto const whole = [&](std::size_t pairs) {
        std::string prompt;
        for (std::size_t k = 0; k < pairs; ++k) prompt += "The code of the " + words[k] + " is " + codes[k] + ". ";
        which = static_cast<std::size_t>(s.depth * static_cast<double>(pairs - 1) + 0.5);
        return text.encode(prompt + "What is the code of the " + words[which] + "? The code of the " + words[which] +
                           " is ");
      };
      std::size_t const alone = whole(2).size() + s.new_tokens;
      if (alone > asked.length)
        throw usage_error("--length is " + std::to_string(asked.length) + "; two pairs, question and answer take " +
                          std::to_string(alone) + " tokens, give more");
      std::size_t fits = 2, most = words.size() + 1;  // whole(fits) has room, whole(most) has none or is no list
      while (most - fits > 1) {
        std::size_t const middle = (fits + most) / 2;
        (whole(middle).size() + s.new_tokens <= asked.length ? fits : most) = middle;
      }
      s.prompt = whole(fits);
      s.answers = {codes[which]};
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
