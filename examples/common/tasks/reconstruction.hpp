#pragma once
// A text and its beginning once more: the model writes the rest of it.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/errors.hpp>
#include <common/metrics/words.hpp>
#include <common/tasks/haystack.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>

namespace programs {

// Of a text: sentences from a random one on. Without one: words in random order, each once, all of them again and
// again. `begin`: words that stand there once more.
inline task reconstruction_task(std::string const& name, std::size_t begin, std::string const& running) {
  task t{name, {"rouge_l", "bleu", "rouge_1", "rouge_2", "edit_similarity", "exact_match"}};
  t.draw = [name, begin, drawn = running.empty(), hay = haystack(running)](reference_model::tokenizer const& text,
                                                                           draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < asked.count; ++i) {
      draws draw(asked.seed, i, name);
      haystack sentences = hay;
      sentences.start(draw);
      std::vector<std::string> words, more;
      std::size_t const half = asked.length / 2;
      auto const written = [&](std::size_t from, std::size_t to) {
        std::string out;
        for (std::size_t k = from; k < to; ++k) out += (out.empty() ? "" : " ") + words[k];
        return out;
      };
      while (text.encode(written(0, words.size())).size() + 1 < half) {
        if (more.empty())
          more = drawn ? draw.some(recall_words(), recall_words().size()) : words_of(sentences.next(draw));
        words.insert(words.end(), more.begin(),
                     more.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(more.size(), 16)));
        more.erase(more.begin(), more.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(more.size(), 16)));
      }
      while (!words.empty() && text.encode(written(0, words.size())).size() + 1 > half) words.pop_back();
      if (words.size() < begin + 2)
        throw usage_error("--length is " + std::to_string(asked.length) + "; a text of " + std::to_string(begin + 2) +
                          " words and itself once more have no room, give more");
      std::string const once = written(0, words.size());
      sample s;
      s.answers = {written(begin, words.size())};
      s.prompt = text.encode(once + " " + written(0, begin));
      s.new_tokens = text.encode(once + " " + once).size() - s.prompt.size();
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
