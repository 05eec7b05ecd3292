#pragma once
// Words as text of SVG and HTML.
#include <string>
#include <string_view>

namespace programs {

inline std::string escaped(std::string_view words) {
  std::string safe;
  for (char const c : words) {
    if (c == '&') safe += "&amp;";
    else if (c == '<') safe += "&lt;";
    else if (c == '>') safe += "&gt;";
    else if (c == '"') safe += "&quot;";
    else safe += c;
  }
  return safe;
}

}  // namespace programs
