#pragma once
// JSON as the programs print it: fields in the order they are given, numbers that read back to the same value.
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace programs {

struct json_field;

// A value, held as its text. Bytes that are no UTF-8 (a token may end inside a character) become U+FFFD; NaN becomes
// null.
class json_value {
 public:
  json_value(std::nullptr_t) : text_("null") {}
  json_value(bool value) : text_(value ? "true" : "false") {}
  json_value(double value);
  json_value(std::string const& value);
  json_value(char const* value) : json_value(std::string(value)) {}
  template <std::unsigned_integral Number>
  json_value(Number value) : text_(std::to_string(value)) {}
  template <class Element>
  json_value(std::vector<Element> const& list) : text_("[") {
    for (Element const& element : list) {
      if (text_.size() > 1) text_ += ',';
      text_ += json_value(element).text();
    }
    text_ += ']';
  }

  std::string const& text() const { return text_; }

 private:
  friend json_value json_object(std::initializer_list<json_field> fields);
  json_value() = default;

  std::string text_;
};

struct json_field {
  std::string_view name;  // written as it is
  json_value value;
};

json_value json_object(std::initializer_list<json_field> fields);

// One object, one line.
inline std::string json_line(std::initializer_list<json_field> fields) { return json_object(fields).text() + "\n"; }

}  // namespace programs
