#pragma once
// Whether answers stand anywhere in a prediction, whatever the case of letters (RULER's measure).
#include <string>
#include <string_view>
#include <vector>

#include <reference_model/text/unicode.hpp>

namespace programs {

// Share of the answers that are in the prediction. Control characters count as line ends.
inline double string_match_all(std::string_view prediction, std::vector<std::string> const& answers) {
  if (answers.empty()) return 0;
  std::string text = reference_model::lowered(prediction);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = '\n';
  double found = 0;
  for (std::string const& answer : answers)
    found += text.find(reference_model::lowered(answer)) != std::string::npos ? 1 : 0;
  return found / static_cast<double>(answers.size());
}

// 1 if any answer is in the prediction, else 0.
inline double string_match_part(std::string_view prediction, std::vector<std::string> const& answers) {
  return string_match_all(prediction, answers) > 0 ? 1 : 0;
}

}  // namespace programs
