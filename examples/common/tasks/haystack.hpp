#pragma once
// Filler in which sentences are hidden, as much of it as a prompt has room for.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/errors.hpp>
#include <common/passkey_prompt.hpp>
#include <common/tasks/draws.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace programs {

// Sentences without end: the five of passkey_prompts in random order, or a text's from a random one on.
class haystack {
 public:
  explicit haystack(std::string_view text) {
    for (std::size_t begin = 0, at = 0; at < text.size(); ++at) {
      bool const end = at + 1 == text.size();
      bool const stops = std::string_view(".!?\"").find(text[at]) != std::string_view::npos;
      bool const begins = at + 2 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\n') &&
                          ((text[at + 2] >= 'A' && text[at + 2] <= 'Z') || text[at + 2] == '"');
      if (!end && !(stops && begins)) continue;
      sentences_.push_back(std::string(text.substr(begin, at + 1 - begin)) + " ");
      begin = at + 2;
      ++at;
    }
    running_ = !sentences_.empty();
    if (!running_) sentences_ = passkey_filler();
  }

  void start(draws& draw) { next_ = running_ ? draw.below(sentences_.size()) : 0; }
  std::string const& next(draws& draw) {
    return sentences_[running_ ? next_++ % sentences_.size() : draw.below(sentences_.size())];
  }

 private:
  std::vector<std::string> sentences_;
  bool running_ = false;
  std::size_t next_ = 0;
};

// A sentence to hide, with a space behind it.
struct needle {
  double depth;  // share of the filler that stands before it
  std::string text;
};

// Needles of equal place stay in their order. `answer`: tokens to leave free behind the question. Throws usage_error
// where needles and question alone are longer than `length`.
inline std::vector<std::uint32_t> hide(reference_model::tokenizer const& text, haystack hay, draws& draw,
                                       std::vector<needle> needles, std::string const& question, std::size_t length,
                                       std::size_t answer) {
  std::stable_sort(needles.begin(), needles.end(), [](needle const& a, needle const& b) { return a.depth < b.depth; });
  std::vector<std::string> around;
  auto const whole = [&] {
    std::string all;
    std::size_t done = 0;
    for (needle const& n : needles) {
      auto const before = static_cast<std::size_t>(n.depth * static_cast<double>(around.size()) + 0.5);
      for (; done < before; ++done) all += around[done];
      all += n.text;
    }
    for (; done < around.size(); ++done) all += around[done];
    return text.encode(all + question);
  };
  auto prompt = whole();
  if (prompt.size() + answer > length)
    throw usage_error("--length is " + std::to_string(length) + "; needles, question and answer alone take " +
                      std::to_string(prompt.size() + answer) + " tokens, give more");
  hay.start(draw);
  for (std::size_t used = prompt.size() + answer; used <= length;) {
    around.push_back(hay.next(draw));
    used += text.encode(around.back() + around.back(), false).size() - text.encode(around.back(), false).size();
  }
  for (;; around.pop_back()) {
    prompt = whole();
    if (prompt.size() + answer <= length) return prompt;
  }
}

}  // namespace programs
