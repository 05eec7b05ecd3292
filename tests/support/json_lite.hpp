#pragma once

#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace support {

/// A JSON value, as the test data needs it: strings without \u escapes, numbers as double, no duplicate keys.
struct json {
  enum class kind { null, boolean, number, string, array, object };
  kind what = kind::null;
  bool flag = false;
  double value = 0;
  std::string text;
  std::vector<json> items;
  std::map<std::string, json> fields;

  bool has(std::string const& field) const { return fields.count(field) != 0; }

  /// std::runtime_error if there is no such field.
  json const& operator[](std::string const& field) const {
    auto const found = fields.find(field);
    if (found == fields.end()) throw std::runtime_error("json: no field " + field);
    return found->second;
  }
  json const& operator[](std::size_t i) const { return items.at(i); }

  /// The number as a whole one; std::runtime_error if it is none.
  long long whole() const {
    auto const n = static_cast<long long>(value);
    if (what != kind::number || static_cast<double>(n) != value) throw std::runtime_error("json: not a whole number");
    return n;
  }
  int number_or(std::string const& field, int otherwise) const {
    return has(field) ? static_cast<int>((*this)[field].whole()) : otherwise;
  }
  std::vector<int> whole_numbers() const {
    std::vector<int> list;
    for (json const& item : items) list.push_back(static_cast<int>(item.whole()));
    return list;
  }
};

/// Reads one value from text; std::runtime_error with the byte offset where it goes wrong.
class json_reader {
 public:
  explicit json_reader(std::string_view text) : text_(text) {}

  json read_all() {
    json const value = read(0);
    blanks();
    if (at_ != text_.size()) fail("more text after the value");
    return value;
  }

 private:
  static constexpr int deepest = 64;

  [[noreturn]] void fail(char const* what) const {
    throw std::runtime_error("json: " + std::string(what) + " at byte " + std::to_string(at_));
  }
  void blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool accept(char c) {
    blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void need(char c, char const* what) {
    if (!accept(c)) fail(what);
  }
  bool accept_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::string read_string() {
    need('"', "a string is expected");
    std::string s;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        if (at_ >= text_.size()) break;
        c = text_[at_++];
        if (c == 'n')
          c = '\n';
        else if (c == 't')
          c = '\t';
        else if (c != '"' && c != '\\' && c != '/')
          fail("an escape that is not read here");
      }
      s += c;
    }
    if (at_ >= text_.size()) fail("a string does not end");
    ++at_;
    return s;
  }

  json read(int depth) {
    if (depth > deepest) fail("nested too deep");
    json v;
    blanks();
    if (at_ >= text_.size()) fail("the text ends early");
    char const c = text_[at_];
    if (c == '{') {
      v.what = json::kind::object;
      ++at_;
      if (accept('}')) return v;
      do {
        blanks();
        std::string const name = read_string();
        need(':', "a colon is expected");
        if (!v.fields.emplace(name, read(depth + 1)).second) fail("a field stands twice");
      } while (accept(','));
      need('}', "a closing brace is expected");
    } else if (c == '[') {
      v.what = json::kind::array;
      ++at_;
      if (accept(']')) return v;
      do v.items.push_back(read(depth + 1));
      while (accept(','));
      need(']', "a closing bracket is expected");
    } else if (c == '"') {
      v.what = json::kind::string;
      v.text = read_string();
    } else if (accept_word("true")) {
      v.what = json::kind::boolean;
      v.flag = true;
    } else if (accept_word("false")) {
      v.what = json::kind::boolean;
    } else if (!accept_word("null")) {
      v.what = json::kind::number;
      auto const end = std::from_chars(text_.data() + at_, text_.data() + text_.size(), v.value);
      if (end.ec != std::errc{}) fail("a value is expected");
      at_ = static_cast<std::size_t>(end.ptr - text_.data());
    }
    return v;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

inline json parse_json(std::string_view text) { return json_reader(text).read_all(); }

}  // namespace support
