#pragma once

#include <string>
#include <vector>

namespace support {

/// "3 5 8", so that a failing check prints both lists.
template <class Number>
std::string listed(std::vector<Number> const& numbers) {
  std::string text;
  for (Number const n : numbers) text.append(text.empty() ? "" : " ").append(std::to_string(n));
  return text;
}

}  // namespace support
