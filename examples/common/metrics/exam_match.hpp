#pragma once
// Which of the choices A to Z a prediction takes.
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace programs {

// The letters up to `last` that a text chooses, sorted, each once: of the first word made of such capitals alone ("B",
// "(AC)", "A, C" and "A and C" go on), so that the A of "Answer" and the article "A" before a small word do not count.
inline std::string chosen_letters(std::string_view text, char last = 'E') {
  std::string chosen;
  auto const letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && letter(text[end])) ++end;
    if (end == i) {
      ++i;
      continue;
    }
    std::string_view const word = text.substr(i, end - i);
    bool const choice = std::all_of(word.begin(), word.end(), [&](char c) { return c >= 'A' && c <= last; });
    std::size_t next = end;
    while (next < text.size() && text[next] == ' ') ++next;
    bool const article = word == "A" && next > end && next < text.size() && text[next] >= 'a' && text[next] <= 'z' &&
                         text.substr(next, 4) != "and ";
    if (choice && !article)
      chosen += word;
    else if (!chosen.empty() && word != "and")
      break;
    i = end;
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

// 1 for the letters of the answer; a quarter for some of them and no other, where the answer has several; else 0.
inline double exam_match(std::string_view prediction, std::string_view answer) {
  std::string const wanted = chosen_letters(answer, 'Z'),
                    got = chosen_letters(prediction, std::max('E', wanted.empty() ? 'E' : wanted.back()));
  if (wanted.empty() || got.empty()) return 0;
  if (got == wanted) return 1;
  return std::includes(wanted.begin(), wanted.end(), got.begin(), got.end()) ? 0.25 : 0;
}

}  // namespace programs
