#pragma once
// The pass keys of passkey_task.hpp as a task: the same prompts, judged alike.
#include <algorithm>
#include <string>

#include <common/passkey_task.hpp>
#include <common/tasks/task.hpp>

namespace programs {

inline task passkey_as_task(std::string const& name) {
  task t{name, {"exact_match"}};
  t.has_depth = true;
  t.draw = [](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    passkey_prompts prompts(text, asked.seed);
    for (std::size_t i = 0; i < asked.count; ++i) {
      passkey_prompt one = prompts.next(depth_of(i, std::min(asked.depths, asked.count)), asked.length);
      sample s;
      s.prompt = std::move(one.tokens);
      s.answers = {one.target};
      s.new_tokens = passkey_answer_tokens;
      s.characters = one.target.size();
      s.depth = one.depth;
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
