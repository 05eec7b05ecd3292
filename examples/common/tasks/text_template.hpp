#pragma once
// Templates over the fields of a row of data.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <common/tasks/rows.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

// Text with {field} or {field.field} in it; {{ and }} are braces. `where` names file and key in messages.
class text_template {
 public:
  text_template(std::string text, std::string file, std::string key)
      : text_(std::move(text)), file_(std::move(file)), key_(std::move(key)) {
    for (std::size_t at = 0; at < text_.size();) {
      char const c = text_[at];
      bool const twice = at + 1 < text_.size() && text_[at + 1] == c;
      if ((c == '{' || c == '}') && twice) {
        literal(c);
        at += 2;
      } else if (c == '{') {
        std::size_t const end = text_.find('}', at);
        if (end == std::string::npos || end == at + 1)
          throw reference_model::bad_file(file_, key_ + " has a { without a field and }; write {{ for a brace");
        parts_.push_back({text_.substr(at + 1, end - at - 1), true});
        at = end + 1;
      } else if (c == '}') {
        throw reference_model::bad_file(file_, key_ + " has a } without {; write }} for a brace");
      } else {
        literal(c);
        ++at;
      }
    }
  }

  // A list that is all there is in the template gives each of its items; everything else one text.
  std::vector<std::string> all(data_row const& row) const {
    if (parts_.size() == 1 && parts_[0].second)
      if (nlohmann::json const& value = field(row, parts_[0].first); value.is_array()) {
        std::vector<std::string> items;
        for (nlohmann::json const& one : value) items.push_back(plain(row, parts_[0].first, one));
        return items;
      }
    return {one(row)};
  }

  // `instead`: what the field `replaced` reads as.
  std::string one(data_row const& row, std::string const& replaced = "", std::string const& instead = "") const {
    std::string out;
    for (auto const& [part, is_field] : parts_)
      out += !is_field ? part : part == replaced ? instead : plain(row, part, field(row, part));
    return out;
  }

  bool names(std::string const& wanted) const {
    for (auto const& [part, is_field] : parts_)
      if (is_field && part == wanted) return true;
    return false;
  }

 private:
  void literal(char c) {
    if (parts_.empty() || parts_.back().second) parts_.push_back({"", false});
    parts_.back().first += c;
  }

  nlohmann::json const& field(data_row const& row, std::string const& name) const {
    nlohmann::json const* value = &row.fields;
    for (std::size_t at = 0; at <= name.size();) {
      std::size_t const end = std::min(name.find('.', at), name.size());
      std::string const part = name.substr(at, end - at);
      if (!value->is_object() || !value->contains(part)) {
        std::string known;
        for (auto const& item : row.fields.items()) known += (known.empty() ? "" : ", ") + item.key();
        throw reference_model::bad_file(file_, key_ + " names the field '" + name + "', which row " +
                                                   std::to_string(row.number) + " of the data is without; it has " +
                                                   known);
      }
      value = &(*value)[part];
      at = end + 1;
    }
    return *value;
  }

  std::string plain(data_row const& row, std::string const& name, nlohmann::json const& value) const {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number() || value.is_boolean()) return value.dump();
    if (value.is_null()) return "";
    throw reference_model::bad_file(file_, key_ + " writes the field '" + name + "', which is no text in row " +
                                               std::to_string(row.number) +
                                               "; name a field of it, or walk it with each");
  }

  std::string text_, file_, key_;
  std::vector<std::pair<std::string, bool>> parts_;  // text, or a field's name
};

}  // namespace programs
