#pragma once
// A long list of words, some of which come ten times as often as the others; those are asked for.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/errors.hpp>
#include <common/tasks/draws.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>

namespace programs {

// `common` words, each 10 r times, among some 60 that come r times; r as the length allows, or fewer words where it
// is 1.
inline task common_words_task(std::string const& name, std::size_t common) {
  task t{name, {"string_match_all"}};
  t.draw = [name, common](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      auto const words = draw.some(recall_words(), recall_words().size());
      sample s;
      s.answers.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(common));
      s.new_tokens = 6 * common;
      s.words = common;  // or naming many would find them
      s.stop = {".", "\n"};
      std::string const question = "The " + std::to_string(common) + " most common words are ";
      std::vector<std::string> list;
      auto const whole = [&](std::size_t count) {
        std::string prompt;
        for (std::size_t k = 0; k < count; ++k) prompt += list[k] + " ";
        return text.encode(prompt + question);
      };
      std::size_t const free = asked.length - std::min(asked.length, whole(0).size() + s.new_tokens);
      std::size_t const rounds = std::max<std::size_t>(1, free / (10 * common + 60));
      std::size_t const rare = std::min(words.size() - common, free / rounds - std::min(free / rounds, 10 * common));
      if (rare < common)
        throw usage_error("--length is " + std::to_string(asked.length) + "; a list in which " +
                          std::to_string(common) + " words are common needs about " +
                          std::to_string(asked.length - free + 11 * common) + " tokens, give more");
      for (std::size_t k = 0; k < common + rare; ++k)
        list.insert(list.end(), k < common ? 10 * rounds : rounds, words[k]);
      draw.shuffle(list);
      std::size_t fits = list.size();
      while (fits > 0 && whole(fits).size() + s.new_tokens > asked.length) fits -= 1 + fits / 20;
      s.prompt = whole(fits);
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
