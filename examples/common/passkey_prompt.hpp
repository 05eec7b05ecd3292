#pragma once
// A number hidden in filler text, and the question for it.
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <common/errors.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace programs {

struct passkey_prompt {
  double depth = 0;                   // share of the filler that stands before the key
  std::vector<std::uint32_t> tokens;  // BOS first, ends with the question
  std::string target;                 // the five digits
};

inline std::vector<std::string> const& passkey_filler() {
  static std::vector<std::string> const all = {
      "The grass is green. ", "The sky is blue. ", "The sun is yellow. ", "Here we go. ", "There and back again. ",
  };
  return all;
}

// Draws prompts: the same arguments and seed give the same prompts on every machine.
class passkey_prompts {
 public:
  passkey_prompts(reference_model::tokenizer const& text, std::uint64_t seed) : text_(text), draw_(seed) {}

  // A prompt of at most `length` tokens, answer included, and less than one filler sentence below that. Throws usage_error
  // when the key and the question alone are longer.
  passkey_prompt next(double depth, std::size_t length) {
    passkey_prompt prompt;
    prompt.depth = depth;
    prompt.target = std::to_string(10000 + draw_() % 90000);
    std::string const key = "The pass key is " + prompt.target + ". Remember it. " + prompt.target + " is the pass key. ";
    std::string const question = "What is the pass key? The pass key is ";
    std::vector<std::string> filler;
    auto const whole = [&] {
      auto const before = static_cast<std::size_t>(depth * static_cast<double>(filler.size()) + 0.5);
      std::string all;
      for (std::size_t i = 0; i < before; ++i) all += filler[i];
      all += key;
      for (std::size_t i = before; i < filler.size(); ++i) all += filler[i];
      return text_.encode(all + question);
    };
    prompt.tokens = whole();
    std::size_t const answer = prompt.target.size() + 1;
    if (prompt.tokens.size() + answer > length) {
      throw usage_error("--length is " + std::to_string(length) + "; key, question and answer alone take " +
                        std::to_string(prompt.tokens.size() + answer) + " tokens, give more");
    }
    for (std::size_t used = prompt.tokens.size() + answer; used <= length;) {
      std::string const& sentence = passkey_filler()[draw_() % passkey_filler().size()];
      used += text_.encode(sentence + sentence, false).size() - text_.encode(sentence, false).size();  // in running text
      filler.push_back(sentence);
    }
    for (;; filler.pop_back()) {
      prompt.tokens = whole();
      if (prompt.tokens.size() + answer <= length) return prompt;
    }
  }

 private:
  reference_model::tokenizer const& text_;
  std::mt19937_64 draw_;
};

}  // namespace programs
