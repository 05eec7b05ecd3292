#pragma once
// Numbers that belong to words, hidden in filler: one is asked for (needle, multi_key), or all of one word
// (multi_value).
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/tasks/haystack.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>

namespace programs {

inline constexpr std::size_t digits_of_a_key = 5;
// Tokens of one: a digit each at worst, and what a tokenizer puts around them.
inline constexpr std::size_t tokens_of_a_key = digits_of_a_key + 3;

inline std::string needle_sentence(std::string const& word, std::string const& key) {
  return "The pass key of the " + word + " is " + key + ". ";
}

// `keys` words with a number each; the one that is asked for stands at the sample's depth, the others anywhere.
inline task needle_task(std::string const& name, std::size_t keys, std::string const& running) {
  task t{name, {"exact_match"}};
  t.has_depth = true;
  t.draw = [name, keys, hay = haystack(running)](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      auto const words = draw.some(recall_words(), keys);
      sample s;
      s.depth = depth_of(i, asked.depths);
      std::vector<needle> needles;
      for (std::size_t k = 0; k < words.size(); ++k) {
        std::string const key = draw.number(digits_of_a_key);
        if (k == 0) s.answers = {key};
        needles.push_back({k == 0 ? s.depth : draw.share(), needle_sentence(words[k], key)});
      }
      std::string const question =
          "What is the pass key of the " + words[0] + "? The pass key of the " + words[0] + " is ";
      s.new_tokens = tokens_of_a_key;
      s.characters = digits_of_a_key;
      s.stop = {".", "\n"};
      s.prompt = hide(text, hay, draw, std::move(needles), question, asked.length, s.new_tokens);
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

// One word with `values` numbers, among as many numbers of other words; all of its numbers are asked for.
inline task multi_value_task(std::string const& name, std::size_t values, std::string const& running) {
  task t{name, {"string_match_all"}};
  t.draw = [name, values, hay = haystack(running)](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      auto const words = draw.some(recall_words(), 1 + values);
      sample s;
      std::vector<needle> needles;
      for (std::size_t k = 0; k < 2 * values; ++k) {
        std::string const key = draw.number(digits_of_a_key);
        if (k < values) s.answers.push_back(key);
        needles.push_back({draw.share(), needle_sentence(words[k < values ? 0 : k - values + 1], key)});
      }
      std::string const question =
          "What are the pass keys of the " + words[0] + "? The pass keys of the " + words[0] + " are ";
      s.new_tokens = values * (tokens_of_a_key + 2);
      s.stop = {".", "\n"};
      s.prompt = hide(text, hay, draw, std::move(needles), question, asked.length, s.new_tokens);
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
