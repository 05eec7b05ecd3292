#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/span.hpp>
#include <kvsift/score/reservoir.hpp>

// What a user may state of a policy: the fields of a policy file, of --set, of a configuration. Host only.
namespace kvsift {

enum class field_kind { number, truth, word, fraction };

/// One field: its kind, and what values it takes. A policy's line in the catalogue says which fields it has.
struct field_description {
  char const* name;
  field_kind kind;
  std::uint64_t least, most;  ///< of a number or a fraction
  char const* words;          ///< that a word may be, separated by '|'; "": any text, which the policy reads
};

inline constexpr std::uint64_t most_slots = 0x7ffffffe;  ///< that a head may be given

inline constexpr field_description field_table[] = {
    {"budget", field_kind::number, 1, most_slots, ""},
    {"sinks", field_kind::number, 0, most_slots, ""},
    {"recent", field_kind::number, 0, most_slots, ""},
    {"newest", field_kind::number, 0, most_slots, ""},
    {"excluded", field_kind::number, 0, most_slots, ""},
    {"stride", field_kind::number, 1, most_slots, ""},
    {"history", field_kind::number, 1, 65536, ""},
    {"future", field_kind::number, 1, most_slots, ""},
    {"window", field_kind::number, 1, most_slots, ""},
    {"kernel", field_kind::number, 1, 65535, ""},
    {"bits", field_kind::number, 4, 64, ""},
    {"seed", field_kind::number, 0, ~std::uint64_t{0}, ""},
    {"threshold", field_kind::truth, 0, 0, ""},
    {"shared", field_kind::truth, 0, 0, ""},
    {"score", field_kind::word, 0, 0, "accumulated|mean|last"},
    {"floor", field_kind::fraction, 0, 1, ""},
    {"pool", field_kind::word, 0, 0, "max|avg"},
    {"group", field_kind::word, 0, 0, "mean|max|sum"},
    {"compare", field_kind::word, 0, 0, "key|query"},
    {"scope", field_kind::word, 0, 0, "window|deviation"},
    {"profile", field_kind::word, 0, 0, "fixed|reference"},
    {"recipes", field_kind::word, 0, 0, ""},
    {"recovery", field_kind::fraction, 0, 1, ""},
};

using field_value = std::variant<std::uint64_t, bool, std::string, double>;

namespace detail {

[[noreturn]] inline void refuse_field(std::string_view field, std::string const& value, std::string const& remedy) {
  throw bad_argument("policy field '" + std::string(field) + "' is " + value + "; " + remedy);
}

inline bool among(std::string_view list, char separator, std::string_view item) {
  for (std::size_t at = 0; at <= list.size();) {
    std::size_t const end = std::min(list.find(separator, at), list.size());
    if (list.substr(at, end - at) == item) return true;
    at = end + 1;
  }
  return false;
}

inline std::string shown(field_value const& value) {
  if (auto const* const number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
  if (auto const* const truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (auto const* const fraction = std::get_if<double>(&value)) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", *fraction);
    return text;
  }
  return "'" + std::get<std::string>(value) + "'";
}

}  // namespace detail

/// The description of a field, or null if no policy has one of that name.
inline field_description const* find_field(std::string_view name) {
  for (field_description const& d : field_table)
    if (name == d.name) return &d;
  return nullptr;
}

/// What a field takes, in words: "a whole number from 1 to 65536", "true or false", "accumulated or mean".
inline std::string allowed(field_description const& d) {
  if (d.kind == field_kind::number) return "a whole number from " + std::to_string(d.least) + " to " + std::to_string(d.most);
  if (d.kind == field_kind::fraction) return "a number from " + std::to_string(d.least) + " to " + std::to_string(d.most);
  if (d.kind == field_kind::truth) return "true or false";
  std::string words(*d.words == '\0' ? "a text" : d.words);
  for (std::size_t bar; (bar = words.find('|')) != std::string::npos;) words.replace(bar, 1, " or ");
  return words;
}

/// The value that `text` writes, as --set FIELD=VALUE does. Throws bad_argument.
inline field_value parse_field(field_description const& d, std::string_view text) {
  if (d.kind == field_kind::word) return std::string(text);
  if (d.kind == field_kind::fraction) {
    std::string const written(text);
    char* end = nullptr;
    double const x = std::strtod(written.c_str(), &end);
    bool const plain = written.find_first_not_of("0123456789.eE+-") == std::string::npos;
    if (written.empty() || !plain || *end != '\0') detail::refuse_field(d.name, "'" + written + "'", "give " + allowed(d));
    return x;
  }
  if (d.kind == field_kind::truth && (text == "true" || text == "false")) return text == "true";
  std::uint64_t number = 0;
  bool good = d.kind == field_kind::number && !text.empty() && text.size() <= 20;
  for (char const c : text) {
    std::uint64_t const digit = static_cast<std::uint64_t>(static_cast<unsigned char>(c)) - '0';
    good = good && digit <= 9 && number <= (~std::uint64_t{0} - digit) / 10;
    number = number * 10 + digit;
  }
  if (!good) detail::refuse_field(d.name, "'" + std::string(text) + "'", "give " + allowed(d));
  return number;
}

/// The fields that a user stated of one policy, and what holds for every policy: pinned positions, budgets by layer.
class policy_fields {
 public:
  std::string policy;                     ///< name or alias in the catalogue
  std::uint32_t pinned_from = 0;          ///< positions pinned_from .. pinned_from + pinned - 1 never go
  std::uint32_t pinned = 0;
  std::vector<std::uint32_t> layers;      ///< slots per head of each layer; empty: `budget` everywhere
  span<float const> projection{};         ///< [head_dim, projection_bits] of signatures, the caller's; empty: drawn from the seed
  std::uint32_t projection_bits = 0;
  supplied_draws draws{};                 ///< of policies that draw, the caller's; none: counted from the seed

  policy_fields() = default;
  explicit policy_fields(std::string name) : policy(std::move(name)) {}

  /// States a field. Throws bad_argument for an unknown one, and for a value that it does not take.
  policy_fields& set(std::string_view field, field_value value) {
    field_description const* const d = find_field(field);
    if (d == nullptr) throw bad_argument("policy field '" + std::string(field) + "' is unknown; remove it");
    bool good = value.index() == static_cast<std::size_t>(d->kind);
    if (auto const* const number = std::get_if<std::uint64_t>(&value)) good = good && *number >= d->least && *number <= d->most;
    if (auto const* const fraction = std::get_if<double>(&value))
      good = good && *fraction >= static_cast<double>(d->least) && *fraction <= static_cast<double>(d->most);
    if (auto const* const word = std::get_if<std::string>(&value)) good = good && (*d->words == '\0' || detail::among(d->words, '|', *word));
    if (!good) detail::refuse_field(field, detail::shown(value), "give " + allowed(*d));
    values_[std::string(field)] = std::move(value);
    return *this;
  }
  policy_fields& set(std::string_view field, std::uint32_t value) { return set(field, field_value(std::uint64_t{value})); }
  policy_fields& set(std::string_view field, std::uint64_t value) { return set(field, field_value(value)); }
  policy_fields& set(std::string_view field, bool value) { return set(field, field_value(value)); }
  policy_fields& set(std::string_view field, char const* value) { return set(field, field_value(std::string(value))); }
  /// States a field unless it is stated already.
  template <class Value>
  void otherwise(std::string_view field, Value value) {
    if (!has(field)) set(field, value);
  }

  bool has(std::string_view field) const { return values_.find(field) != values_.end(); }
  /// The value of a number other than the seed. The field must be stated.
  std::uint32_t operator[](std::string_view field) const { return static_cast<std::uint32_t>(seed(field)); }
  std::uint64_t seed(std::string_view field = "seed") const { return std::get<std::uint64_t>(values_.find(field)->second); }
  double fraction(std::string_view field) const { return std::get<double>(values_.find(field)->second); }
  bool truth(std::string_view field) const { return std::get<bool>(values_.find(field)->second); }
  std::string const& word(std::string_view field) const { return std::get<std::string>(values_.find(field)->second); }

  /// Every stated field with its value, by name.
  std::map<std::string, field_value, std::less<>> const& values() const { return values_; }

 private:
  std::map<std::string, field_value, std::less<>> values_;
};

}  // namespace kvsift
