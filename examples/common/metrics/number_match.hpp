#pragma once
// Which numbers a prediction names: how many things there are, or which paragraph it was.
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace programs {

// Runs of digits, as they are written.
inline std::vector<std::string> numbers_in(std::string_view text) {
  std::vector<std::string> all;
  bool within = false;
  for (char const c : text) {
    bool const digit = c >= '0' && c <= '9';
    if (digit && !within) all.emplace_back();
    if (digit) all.back() += c;
    within = digit;
  }
  return all;
}

// Share of the prediction's numbers that are the answer, a number. No number: 0.
inline double count_match(std::string_view prediction, std::string_view answer) {
  auto const all = numbers_in(prediction);
  double right = 0;
  for (std::string const& one : all) right += one == answer ? 1 : 0;
  return all.empty() ? 0 : right / static_cast<double>(all.size());
}

// The same for an answer that names its number among words ("Paragraph 7").
inline double retrieval_match(std::string_view prediction, std::string_view answer) {
  auto const wanted = numbers_in(answer);
  return wanted.empty() ? 0 : count_match(prediction, wanted.front());
}

// Whether the last number of the prediction is the last of the answer, thousands separated by commas or not: 42, 1,000
// and 3.50 are numbers, and 3.50 is 3.5.
inline double last_number_match(std::string_view prediction, std::string_view answer) {
  auto const last = [](std::string_view text) {
    std::string best, now;
    for (std::size_t i = 0; i <= text.size(); ++i) {
      char const c = i < text.size() ? text[i] : ' ';
      char const next = i + 1 < text.size() ? text[i + 1] : ' ';
      bool const digit = c >= '0' && c <= '9', more = next >= '0' && next <= '9';
      bool const minus =
          c == '-' && more && now.empty() && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0);
      if (digit || minus || (c == '.' && !now.empty() && more && now.find('.') == std::string::npos)) {
        now += c;
      } else if (c != ',' || now.empty() || !more) {
        if (!now.empty()) best = now;
        now.clear();
      }
    }
    if (best.find('.') != std::string::npos) {
      while (best.back() == '0') best.pop_back();
      if (best.back() == '.') best.pop_back();
    }
    return best;
  };
  std::string const wanted = last(answer);
  return !wanted.empty() && last(prediction) == wanted ? 1 : 0;
}

}  // namespace programs
