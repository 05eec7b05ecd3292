#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <reference_model/io/bad_file.hpp>

namespace reference_model {

using json = nlohmann::json;

/// Parses a JSON object in which no name occurs twice within one object, nested 32 levels at most: what copies,
/// compares or prints a value recurses. Throws bad_file naming the byte or the name.
inline json parse_object(std::string_view file, std::string_view text) {
  std::vector<std::set<std::string>> names;  // of the objects that are open
  constexpr int deepest = 32;
  auto const watch = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > deepest) throw bad_file(file, "nests JSON deeper than 32 levels; is it the right file?");
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key && !names.back().insert(value.get<std::string>()).second)
      throw bad_file(file, "the name '" + value.get<std::string>() + "' occurs twice; keep one");
    return true;
  };
  json parsed;
  try {
    parsed = json::parse(text.begin(), text.end(), watch);
  } catch (json::parse_error const& error) {
    throw bad_file(file, "no valid JSON at byte " + std::to_string(error.byte) + "; write or fetch it again");
  } catch (json::exception const&) {
    throw bad_file(file, "no valid JSON: a number is out of range; write or fetch it again");
  }
  if (!parsed.is_object()) throw bad_file(file, "holds JSON that is not an object; is it the right file?");
  return parsed;
}

/// A value as it goes into an error line, shortened.
inline std::string shown(json const& value) {
  return shortened(value.dump(-1, ' ', false, json::error_handler_t::replace), 60);
}

}  // namespace reference_model
