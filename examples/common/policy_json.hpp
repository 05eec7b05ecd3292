#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <common/allocator.hpp>
#include <common/near_name.hpp>
#include <common/slot_share.hpp>
#include <common/storage.hpp>
#include <kvsift/policy/catalogue.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>

namespace programs {

using reference_model::bad_file;
using reference_model::json;

/// A policy as a user states it: one for everything, or one for a phase and another for the rest; how vectors are stored.
struct stated_policy {
  kvsift::policy_fields fields;                         ///< policy empty: both phases have their own
  std::optional<kvsift::policy_fields> prompt, decode;  ///< what acts over a prompt that is too long, and from token to token
  std::string storage = "fp32";                         ///< see storage.hpp
  allocator_request allocator;
  std::map<std::string, slot_share> shares;  ///< of the budget, by field; of a phase "prompt.FIELD" or "decode.FIELD"
};

namespace detail {

[[noreturn]] inline void refuse(std::string const& file, std::string const& field, json const& value, std::string const& remedy) {
  throw bad_file(file, "policy field '" + field + "' is " + reference_model::shown(value) + "; " + remedy);
}

/// What to say of a field that no policy has.
inline std::string unknown_field(std::string const& field, std::string const& remedy) {
  near_name near(field);
  for (kvsift::field_description const& d : kvsift::field_table) near.look(d.name);
  for (char const* const other : {"policy", "prompt", "decode", "storage", "allocator", "layers", "pinned"}) near.look(other);
  return "policy field '" + field + "' is unknown; " + near.question() + remedy;
}

inline std::uint32_t slots(std::string const& file, std::string const& field, json const& value) {
  bool const whole = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (!whole || value.get<std::uint64_t>() > kvsift::most_slots)
    refuse(file, field, value, "give whole numbers from 0 to " + std::to_string(kvsift::most_slots));
  return value.get<std::uint32_t>();
}

/// `value` as the field takes it.
inline kvsift::field_value field_value(std::string const& file, kvsift::field_description const& field, json const& value) {
  using kvsift::field_kind;
  if (field.kind == field_kind::truth && value.is_boolean()) return value.get<bool>();
  if (field.kind == field_kind::word && value.is_string()) return value.get<std::string>();
  if (field.kind == field_kind::fraction && value.is_number()) return value.get<double>();
  if (field.kind == field_kind::number && value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (field.kind == field_kind::number && value.is_number_integer() && value.get<std::int64_t>() >= 0)
    return static_cast<std::uint64_t>(value.get<std::int64_t>());
  refuse(file, field.name, value, "give " + kvsift::allowed(field) + (takes_share(field.name) ? std::string(", or ") + share_words : ""));
}

inline std::string word(std::string const& file, std::string const& field, json const& value) {
  if (!value.is_string()) refuse(file, field, value, "give a string");
  return value.get<std::string>();
}

/// States a field that some policy of the catalogue has; what is a share of the budget, under `phase` + its name.
inline void state(std::string const& file, std::string const& field, json const& value, kvsift::policy_fields& fields,
                  std::map<std::string, slot_share>& shares, std::string const& phase = "") {
  if (field == "policy") {
    fields.policy = word(file, field, value);
    return;
  }
  kvsift::field_description const* const description = kvsift::find_field(field);
  if (description == nullptr) throw bad_file(file, unknown_field(field, "remove it"));
  if (takes_share(field) && value.is_string()) {
    if (auto const share = parse_share(value.get<std::string>())) {
      shares[phase + field] = *share;
      return;
    }
  }
  try {
    fields.set(field, field_value(file, *description, value));
  } catch (kvsift::bad_argument const& wrong) {
    throw bad_file(file, wrong.what());
  }
}

inline kvsift::policy_fields phase(std::string const& file, std::string const& name, json const& object,
                                   std::map<std::string, slot_share>& shares) {
  if (!object.is_object() || !object.contains("policy")) refuse(file, name, object, "give an object with a field 'policy'");
  kvsift::policy_fields fields;
  for (auto const& [field, value] : object.items()) state(file, field, value, fields, shares, name + ".");
  return fields;
}

inline double real(std::string const& file, std::string const& field, json const& value, double least, double most) {
  if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most)) {
    std::ostringstream range;
    range << "give a number from " << least << " to " << most;
    refuse(file, field, value, range.str());
  }
  return value.get<double>();
}

inline constexpr char const* allocator_names =
    "uniform, pyramid, headkv, cokv, duo_attention, cold_compress_pyramid or cold_compress_funnel";

inline bool is_tabled(allocator_request const& a) { return a.name == "headkv" || a.name == "cokv" || a.name == "duo_attention"; }
inline bool is_published_only(allocator_request const& a) { return a.name == "cold_compress_pyramid" || a.name == "cold_compress_funnel"; }

/// States a field of an allocator.
inline void state(std::string const& file, std::string const& field, json const& v, allocator_request& a) {
  std::string const path = "allocator." + field;
  if (field == "scores" && is_tabled(a)) a.scores = word(file, path, v);
  else if (field == "task" && a.name == "cokv") a.task = slots(file, path, v);
  else if (field == "beta" && (a.name == "headkv" || a.name == "pyramid")) a.beta = real(file, path, v, 1, 1e6);
  else if (field == "temperature" && a.name == "headkv") a.temperature = real(file, path, v, 0.01, 100);
  else if (field == "border" && a.name == "cokv") a.border = slots(file, path, v);
  else if (field == "sparsity" && a.name == "duo_attention") a.sparsity = real(file, path, v, 0, 1);
  else if (field == "longest" && is_published_only(a)) a.longest = slots(file, path, v);
  else if (field == "profile" && (a.name == "pyramid" || a.name == "headkv" || a.name == "cokv")) {
    std::string const profile = word(file, path, v);
    if (profile != "exact" && profile != "published") refuse(file, path, v, "give exact or published");
    a.published = profile == "published";
  } else throw bad_file(file, "policy field '" + path + "' is not one of " + a.name + "; remove it");
}

inline allocator_request read_allocator(std::string const& file, json const& value) {
  allocator_request a;
  std::string const names = allocator_names;
  if (!value.is_object() && !value.is_string()) refuse(file, "allocator", value, "give " + names + ", or an object with that as its name");
  json const object = value.is_object() ? value : json{{"name", value}};
  if (!object.contains("name")) refuse(file, "allocator", value, "give it a name: " + names);
  a.name = word(file, "allocator.name", object["name"]);
  if (!is_tabled(a) && !is_published_only(a) && a.name != "uniform" && a.name != "pyramid")
    refuse(file, "allocator.name", object["name"], "give " + names);
  for (auto const& [field, v] : object.items())
    if (field != "name") state(file, field, v, a);
  return a;
}

/// A phase's own fields, and what is stated for the whole.
inline kvsift::policy_fields within(kvsift::policy_fields phase, kvsift::policy_fields const& whole) {
  if (whole.has("budget")) phase.otherwise("budget", whole["budget"]);
  phase.pinned_from = whole.pinned_from;
  phase.pinned = whole.pinned;
  phase.layers = whole.layers;
  phase.projection = whole.projection;
  phase.projection_bits = whole.projection_bits;
  phase.draws = whole.draws;
  return phase;
}

/// Sets what is stated as a share of the budget, of the fields whose shares stand under `phase`. Throws bad_argument without a budget.
inline kvsift::policy_fields with_shares(kvsift::policy_fields fields, std::map<std::string, slot_share> const& shares, std::string const& phase) {
  for (auto const& [path, share] : shares) {
    std::size_t const dot = path.find('.') == std::string::npos ? 0 : path.find('.') + 1;
    if (path.substr(0, dot) != phase) continue;
    if (!fields.has("budget")) throw kvsift::bad_argument("policy field '" + path + "' is a share of the budget; give a budget");
    fields.set(path.substr(dot), share.of(fields["budget"]));
  }
  return fields;
}

}  // namespace detail

/// Reads a policy object. `file` names it in messages. Throws bad_file for an unknown field or a value that the field does
/// not take; whether the fields fit the policy is make_policy's to say.
inline stated_policy read_policy(std::string const& file, json const& object) {
  stated_policy s;
  for (auto const& [field, value] : object.items()) {
    if (field == "prompt") {
      s.prompt = detail::phase(file, field, value, s.shares);
    } else if (field == "decode") {
      s.decode = detail::phase(file, field, value, s.shares);
    } else if (field == "storage") {
      s.storage = detail::word(file, field, value);
      if (!is_storage(s.storage)) detail::refuse(file, field, value, std::string("give ") + storage_words);
    } else if (field == "allocator") {
      s.allocator = detail::read_allocator(file, value);
    } else if (field == "layers") {
      if (!value.is_array() || value.empty()) detail::refuse(file, field, value, "give a list with the slots per head of each layer");
      for (json const& layer : value) s.fields.layers.push_back(detail::slots(file, field, layer));
    } else if (field == "pinned") {
      if (!value.is_array() || value.size() != 2) detail::refuse(file, field, value, "give [first, last + 1] positions");
      s.fields.pinned_from = detail::slots(file, field, value[0]);
      std::uint32_t const end = detail::slots(file, field, value[1]);
      if (end <= s.fields.pinned_from) detail::refuse(file, field, value, "the end must lie behind the begin");
      s.fields.pinned = end - s.fields.pinned_from;
    } else {
      detail::state(file, field, value, s.fields, s.shares);
    }
  }
  if (s.allocator.name != "uniform" && !s.fields.layers.empty())
    throw bad_file(file, "policy field 'layers' stands beside allocator '" + s.allocator.name + "'; keep one of them");
  bool const both = s.prompt && s.decode;
  if (both && !s.fields.policy.empty())
    throw bad_file(file, "policy field 'policy' is '" + s.fields.policy + "'; 'prompt' and 'decode' leave nothing to it, remove one of the three");
  if (!both && s.fields.policy.empty()) throw bad_file(file, "field 'policy' is missing; give one of " + kvsift::catalogue_names());
  return s;
}

/// Refuses an allocator that needs head scores and has none: a file may leave them to --set. Throws bad_file.
inline void require_scores(std::string const& file, stated_policy const& s) {
  if (detail::is_tabled(s.allocator) && s.allocator.scores.empty())
    throw bad_file(file, "policy field 'allocator.scores' is missing; " + s.allocator.name +
                             " requires a file of head scores, give --set allocator.scores=FILE or state it");
}

/// States FIELD=VALUE as --set does; prompt.FIELD and decode.FIELD reach the policy of a phase, allocator.FIELD what divides the
/// budget. Throws bad_argument or bad_file.
inline void set_field(stated_policy& s, std::string_view name, std::string_view text) {
  kvsift::policy_fields* fields = &s.fields;
  std::string_view field = name;
  if (constexpr std::string_view part = "allocator."; name.substr(0, part.size()) == part) {
    json const number = json::parse(text, nullptr, false);
    std::string const own(name.substr(part.size()));
    detail::state("--set " + std::string(name), own, number.is_number() && own != "scores" ? number : json(text), s.allocator);
    return;
  }
  for (auto const& [phase, own] : {std::pair{std::string_view("prompt."), &s.prompt}, {std::string_view("decode."), &s.decode}}) {
    if (name.substr(0, phase.size()) != phase) continue;
    if (!*own) throw kvsift::bad_argument("--set " + std::string(name) + " has no policy; the policy file states none for that phase");
    fields = &**own;
    field.remove_prefix(phase.size());
  }
  if (fields == &s.fields && field == "storage") {
    if (!is_storage(text)) throw kvsift::bad_argument("policy field 'storage' is '" + std::string(text) + "'; give " + storage_words);
    s.storage = text;
    return;
  }
  kvsift::field_description const* const description = kvsift::find_field(field);
  if (description == nullptr) throw kvsift::bad_argument(detail::unknown_field(std::string(name), "give a field of the policy, `catalogue` lists them"));
  if (takes_share(field)) {
    if (auto const share = parse_share(text)) {
      s.shares[std::string(name)] = *share;
      return;
    }
    s.shares.erase(std::string(name));
  }
  fields->set(field, kvsift::parse_field(*description, text));
}

/// Makes the policy. `budget`: what a bare name derives its defaults from; 0 if every field has to be stated. Throws bad_argument.
inline kvsift::catalogue_policy make_policy(stated_policy const& s, std::uint32_t budget = 0) {
  auto const made = [&](kvsift::policy_fields const& stated, std::string const& phase) {
    kvsift::policy_fields const f = detail::with_shares(stated, s.shares, phase);
    return kvsift::make_policy(budget != 0 ? kvsift::with_defaults(f, budget) : f);
  };
  if (!s.prompt && !s.decode) return made(s.fields, "");
  if (s.fields.policy.empty()) {
    for (auto const& [path, share] : s.shares)
      if (path.find('.') == std::string::npos)
        throw kvsift::bad_argument("policy field '" + path + "' belongs to no policy; state it within 'prompt' or 'decode'");
    for (auto const& [field, value] : s.fields.values())
      if (field != "budget") throw kvsift::bad_argument("policy field '" + field + "' belongs to no policy; state it within 'prompt' or 'decode'");
  }
  return kvsift::join_phases(s.prompt ? made(detail::within(*s.prompt, s.fields), "prompt.") : made(s.fields, ""),
                             s.decode ? made(detail::within(*s.decode, s.fields), "decode.") : made(s.fields, ""));
}

}  // namespace programs
