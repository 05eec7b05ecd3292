#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>

namespace reference_model {

/// One object of a file: its fields by kind, null being as good as absent. What it is asked for must be there and of
/// that kind. Refers to the value. Throws bad_file.
class json_part {
 public:
  /// `where` is how messages call it; "" for the file's own object.
  json_part(std::string file, std::string where, json const& value)
      : file_(std::move(file)), where_(std::move(where)), value_(&value) {
    if (!value.is_object())
      throw bad_file(file_, where_ + " is " + shown(value) + "; an object is expected; " + remedy);
  }

  std::string const& file() const { return file_; }
  std::string path(std::string_view field) const { return (where_.empty() ? "" : where_ + ".") + std::string(field); }

  bool given(char const* field) const { return value_->contains(field) && !(*value_)[field].is_null(); }

  /// The value of a field that must be there.
  json const& operator[](char const* field) const {
    if (!given(field)) throw bad_file(file_, path(field) + " is missing; " + remedy);
    return (*value_)[field];
  }

  json_part part(char const* field) const { return json_part(file_, path(field), (*this)[field]); }
  json const& list(char const* field) const {
    if (!(*this)[field].is_array()) refuse(field, "a list is expected; " + std::string(remedy));
    return (*value_)[field];
  }
  std::string text(char const* field) const {
    if (!(*this)[field].is_string()) refuse(field, "a string is expected; " + std::string(remedy));
    return (*value_)[field].get<std::string>();
  }
  bool truth(char const* field, bool otherwise) const {
    if (!given(field)) return otherwise;
    if (!(*value_)[field].is_boolean()) refuse(field, "true or false is expected; " + std::string(remedy));
    return (*value_)[field].get<bool>();
  }

  /// Refuses whatever field is none of these: it might change the result.
  void only(std::initializer_list<std::string_view> known) const {
    for (auto const& [name, value] : value_->items())
      if (std::find(known.begin(), known.end(), name) == known.end() && !value.is_null())
        throw bad_file(file_, path(name) + " is " + shown(value) + "; it is not implemented; use another tokenizer");
  }

  [[noreturn]] void refuse(char const* field, std::string const& limit) const {
    throw bad_file(file_, path(field) + " is " + shown((*value_)[field]) + "; " + limit);
  }

 private:
  static constexpr char const* remedy = "the file is damaged, fetch it again";

  std::string file_, where_;
  json const* value_;
};

}  // namespace reference_model
