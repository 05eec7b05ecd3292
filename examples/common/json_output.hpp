#pragma once
// JSON as the programs print it: fields in the order they were set, numbers that read back to the same value.
#include <nlohmann/json.hpp>
#include <string>

namespace programs {

using ordered_json = nlohmann::ordered_json;

// One object, one line. Bytes that are no UTF-8 (a token may end inside a character) become U+FFFD; NaN becomes null.
inline std::string json_line(ordered_json const& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace programs
