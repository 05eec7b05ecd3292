#pragma once
// Which of a set of classes a prediction names.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace programs {

// 1 / (classes named) if the answer is among them, else 0. A class whose name is part of the answer's name does not
// count as named.
inline double class_match(std::string_view prediction, std::string const& answer,
                          std::vector<std::string> const& classes) {
  double named = 0;
  bool right = false;
  for (std::string const& one : classes) {
    if (one.empty() || prediction.find(one) == std::string_view::npos) continue;
    if (one == answer)
      right = true;
    else if (answer.find(one) != std::string::npos)
      continue;
    ++named;
  }
  return right ? 1 / named : 0;
}

}  // namespace programs
