#pragma once
// Rows of data, as task files name them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/metrics/words.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/text/utf8.hpp>

namespace programs {

struct data_row {
  nlohmann::json fields;
  std::size_t number;  // in its file, from 1
};

// A JSON array of objects, JSON Lines, or (.txt) paragraphs as {"text"}. Throws bad_file.
inline std::vector<data_row> read_rows(std::string const& path) {
  using nlohmann::json;
  if (!std::filesystem::exists(path))
    throw reference_model::bad_file(path, "is not there; give the file with the rows, or its folder, by --data");
  std::string const text = reference_model::read_text(path, std::uint64_t{1} << 31);
  if (auto const at = reference_model::first_invalid_utf8(text))
    throw reference_model::bad_file(path, "is no valid UTF-8 at byte " + std::to_string(*at) + "; convert it to UTF-8");
  std::vector<data_row> rows;
  auto const add = [&](json fields) {
    if (!fields.is_object())
      throw reference_model::bad_file(path, "row " + std::to_string(rows.size() + 1) +
                                                " is no JSON object; give JSON Lines or an array of objects");
    rows.push_back({std::move(fields), rows.size() + 1});
  };
  std::size_t const begin = text.find_first_not_of(" \t\r\n");
  if (std::filesystem::path(path).extension() == ".txt") {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const end = std::min(text.find("\n\n", at), text.size());
      std::string const part(stripped(std::string_view(text).substr(at, end - at)));
      if (!part.empty()) add({{"text", part}});
      at = end + 2;
    }
  } else if (begin != std::string::npos && text[begin] == '[') {
    json const all = json::parse(text, nullptr, false);
    if (!all.is_array())
      throw reference_model::bad_file(path, "is no JSON array, though it begins as one; fetch it again");
    for (json const& one : all) add(one);
  } else {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const end = std::min(text.find('\n', at), text.size());
      std::string const line = text.substr(at, end - at);
      if (line.find_first_not_of(" \t\r") != std::string::npos) add(json::parse(line, nullptr, false));
      at = end + 1;
    }
  }
  if (rows.empty())
    throw reference_model::bad_file(path, "has no rows; give JSON Lines, a JSON array, or text in paragraphs");
  return rows;
}

}  // namespace programs
