#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kvsift/policy/catalogue.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>

namespace programs {

using reference_model::bad_file;
using reference_model::json;

/// A policy as a user states it: the fields, and how vectors are stored.
struct stated_policy {
  kvsift::policy_fields fields;
  std::string storage = "fp32";  ///< fp32, fp16 or bf16
};

namespace detail {

inline std::uint64_t whole_number(std::string const& file, std::string const& field, json const& value, std::uint64_t limit) {
  std::string const line = "policy field '" + field + "' is " + reference_model::shown(value);
  if (!value.is_number_unsigned() && !(value.is_number_integer() && value.get<std::int64_t>() >= 0))
    throw bad_file(file, line + "; give a whole number from 0 to " + std::to_string(limit));
  std::uint64_t const n = value.get<std::uint64_t>();
  if (n > limit) throw bad_file(file, line + "; give at most " + std::to_string(limit));
  return n;
}
inline bool truth(std::string const& file, std::string const& field, json const& value) {
  if (!value.is_boolean())
    throw bad_file(file, "policy field '" + field + "' is " + reference_model::shown(value) + "; give true or false");
  return value.get<bool>();
}
inline std::string word(std::string const& file, std::string const& field, json const& value) {
  if (!value.is_string())
    throw bad_file(file, "policy field '" + field + "' is " + reference_model::shown(value) + "; give a string");
  return value.get<std::string>();
}

}  // namespace detail

/// Reads the fields of a policy object. `file` names it in messages. Throws bad_file for an unknown field or a value of
/// the wrong kind; whether the fields fit the policy is make_policy's to say.
inline stated_policy read_policy(std::string const& file, json const& object) {
  stated_policy s;
  constexpr std::uint64_t slots = std::numeric_limits<std::uint32_t>::max() / 2;
  if (!object.contains("policy")) throw bad_file(file, "field 'policy' is missing; give one of " + kvsift::catalogue_names());
  for (auto const& [field, value] : object.items()) {
    auto const number = [&, &name = field, &given = value] {
      return static_cast<std::uint32_t>(detail::whole_number(file, name, given, slots));
    };
    kvsift::policy_fields& f = s.fields;
    if (field == "policy") f.policy = detail::word(file, field, value);
    else if (field == "budget") f.budget = number();
    else if (field == "sinks") f.sinks = number();
    else if (field == "recent") f.recent = number();
    else if (field == "newest") f.newest = number();
    else if (field == "excluded") f.excluded = number();
    else if (field == "history") f.history = number();
    else if (field == "threshold") f.threshold = detail::truth(file, field, value);
    else if (field == "shared") f.shared = detail::truth(file, field, value);
    else if (field == "score") f.score = detail::word(file, field, value);
    else if (field == "profile") f.profile = detail::word(file, field, value);
    else if (field == "seed") f.seed = detail::whole_number(file, field, value, std::numeric_limits<std::uint64_t>::max());
    else if (field == "storage") {
      s.storage = detail::word(file, field, value);
      if (s.storage != "fp32" && s.storage != "fp16" && s.storage != "bf16")
        throw bad_file(file, "policy field 'storage' is '" + s.storage + "'; give fp32, fp16 or bf16");
    } else if (field == "pinned") {
      if (!value.is_array() || value.size() != 2)
        throw bad_file(file, "policy field 'pinned' is " + reference_model::shown(value) + "; give [first, last + 1] positions");
      std::uint64_t const from = detail::whole_number(file, field, value[0], slots);
      std::uint64_t const to = detail::whole_number(file, field, value[1], slots);
      if (to <= from) throw bad_file(file, "policy field 'pinned' is " + reference_model::shown(value) + "; the end must lie behind the begin");
      f.pinned_from = static_cast<std::uint32_t>(from);
      f.pinned = static_cast<std::uint32_t>(to - from);
    } else {
      throw bad_file(file, "policy field '" + field + "' is unknown; remove it");
    }
  }
  return s;
}

}  // namespace programs
