#pragma once

#include <cstdint>
#include <string>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>

namespace reference_model::detail {

/// The fields of a JSON object, null being as good as absent. Throws bad_file.
class config_fields {
 public:
  /// Both are referred to.
  config_fields(std::string const& file, json const& object) : file_(file), object_(object) {}

  std::string const& file() const { return file_; }
  json const& object() const { return object_; }
  bool given(char const* field) const { return object_.contains(field) && !object_[field].is_null(); }
  json const& operator[](char const* field) const { return object_[field]; }

  std::uint32_t whole(char const* field) const {
    if (!given(field))
      throw bad_file(file_, std::string(field) + " is missing; a model of this type states it; add it");
    json const& value = object_[field];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 0x7fffffff)
      refuse(field, "a whole number up to 2147483647 is expected");
    return value.get<std::uint32_t>();
  }
  std::uint32_t whole(char const* field, std::uint32_t otherwise) const {
    return given(field) ? whole(field) : otherwise;
  }
  double number(char const* field) const {
    if (!given(field)) throw bad_file(file_, std::string(field) + " is missing; a number is expected; add it");
    if (!object_[field].is_number()) refuse(field, "a number is expected");
    return object_[field].get<double>();
  }
  double number(char const* field, double otherwise) const { return given(field) ? number(field) : otherwise; }
  /// The value, given or computed for want of it, if it lies within [least, most].
  double within(char const* field, double value, double least, double most) const {
    if (!(value >= least && value <= most))
      refuse(field, "a number from " + shown(json(least)) + " to " + shown(json(most)) + " is expected");
    return value;
  }
  bool truth(char const* field, bool otherwise) const {
    if (!given(field)) return otherwise;
    if (!object_[field].is_boolean()) refuse(field, "true or false is expected");
    return object_[field].get<bool>();
  }
  /// Absent, or this value.
  void only(char const* field, json const& value) const {
    if (given(field) && object_[field] != value)
      refuse(field, "only " + shown(value) + " is implemented; use another checkpoint");
  }
  [[noreturn]] void refuse(std::string const& field, std::string const& limit) const {
    throw bad_file(file_,
                   field + " is " + (object_.contains(field) ? shown(object_[field]) : "missing") + "; " + limit);
  }

 private:
  std::string const& file_;
  json const& object_;
};

}  // namespace reference_model::detail
