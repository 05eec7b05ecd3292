#include <common/tasks/task_file.hpp>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include <common/metrics/words.hpp>
#include <common/tasks/draws.hpp>
#include <common/tasks/judge.hpp>
#include <common/tasks/rows.hpp>
#include <common/tasks/text_template.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>

namespace programs {

namespace {

using nlohmann::json;
using reference_model::bad_file;
using reference_model::tokenizer;

enum class side { none, left, middle, right };

struct parsed_task {
  std::string path, data;
  std::vector<std::string> each{}, stop{};
  std::optional<text_template> prompt{};
  std::vector<text_template> answers{}, classes{}, choices{};
  side cut = side::none;
  std::string cut_field{};  // "": the whole prompt
  std::size_t new_tokens = 0;
};

// One key of a task file, with what is wrong with it.
struct key_reader {
  std::string const& path;
  json const& all;

  [[noreturn]] void refuse(std::string const& key, std::string const& what) const {
    throw bad_file(path, key + " " + what);
  }
  bool has(std::string const& key) const { return all.contains(key); }
  std::string text(std::string const& key) const {
    if (!has(key) || !all[key].is_string() || all[key].get<std::string>().empty())
      refuse(key, "is missing or no text; give a string");
    return all[key].get<std::string>();
  }
  std::size_t number(std::string const& key, std::size_t least) const {
    if (!has(key) || !all[key].is_number_unsigned() || all[key].get<std::uint64_t>() < least ||
        all[key].get<std::uint64_t>() > 0x7ffffffe)
      refuse(key, "is missing or no number from " + std::to_string(least) + " on; give one");
    return all[key].get<std::size_t>();
  }
  // A text or a list of texts; nothing where the key is not there.
  std::vector<std::string> texts(std::string const& key) const {
    if (!has(key)) return {};
    json const& value = all[key];
    std::vector<std::string> list;
    if (value.is_string()) return {value.get<std::string>()};
    bool good = value.is_array() && !value.empty();
    for (json const& one : good ? value : json::array()) {
      good = good && one.is_string();
      if (good) list.push_back(one.get<std::string>());
    }
    if (!good) refuse(key, "is no text and no list of texts; give one of them");
    return list;
  }
  std::vector<text_template> templates(std::string const& key) const {
    std::vector<text_template> list;
    for (std::string const& one : texts(key)) list.emplace_back(one, path, key);
    return list;
  }
  void knows(std::initializer_list<char const*> keys) const {
    std::string known;
    for (char const* key : keys) known += (known.empty() ? "" : ", ") + std::string(key);
    for (auto const& item : all.items())
      if (std::find(keys.begin(), keys.end(), item.key()) == keys.end())
        refuse(item.key(), "is unknown; a task file has " + known);
  }
};

// Rows in the order of a seed; where lists are walked, one row an item, with the item in the list's place.
std::vector<data_row> rows_of(parsed_task const& t, std::uint64_t seed) {
  std::vector<data_row> rows;
  for (data_row const& row : read_rows(t.data)) {
    if (t.each.empty()) {
      rows.push_back(row);
      continue;
    }
    std::size_t items = 0;
    for (std::string const& field : t.each) {
      json const& list = row.fields.contains(field) ? row.fields[field] : json();
      if (!list.is_array() || (field != t.each.front() && list.size() != items))
        throw bad_file(t.data, "row " + std::to_string(row.number) + ": '" + field + "', which " + t.path +
                                   " walks with each, is no list" +
                                   (field == t.each.front() ? "" : " as long as '" + t.each.front() + "'"));
      items = list.size();
    }
    for (std::size_t i = 0; i < items; ++i) {
      data_row one = row;
      for (std::string const& field : t.each) one.fields[field] = row.fields[field][i];
      rows.push_back(std::move(one));
    }
  }
  draws draw(seed, 0, "rows");
  draw.shuffle(rows);
  return rows;
}

// `tokens` without `over` of them on one side, or in the middle.
std::vector<std::uint32_t> shortened(std::vector<std::uint32_t> const& tokens, std::size_t over, side where,
                                     std::size_t keep_first) {
  std::size_t const keep = tokens.size() - std::min(tokens.size(), over);
  std::size_t front = where == side::left ? keep_first : where == side::right ? keep : keep / 2;
  front = std::min(front, keep);
  std::vector<std::uint32_t> out(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(front));
  out.insert(out.end(), tokens.end() - static_cast<std::ptrdiff_t>(keep - front), tokens.end());
  return out;
}

// The prompt's tokens, at most `room` of them where that is not 0.
std::vector<std::uint32_t> prompt_of(parsed_task const& t, tokenizer const& text, data_row const& row,
                                     std::size_t room) {
  auto prompt = text.encode(t.prompt->one(row));
  if (room == 0 || prompt.size() <= room) return prompt;
  std::string const here = "row " + std::to_string(row.number) + ": its prompt has " + std::to_string(prompt.size()) +
                           " tokens, " + std::to_string(room) + " have room";
  if (t.cut == side::none) throw bad_file(t.data, here + "; give a longer --length, or cut in the task file");
  if (t.cut_field.empty()) return shortened(prompt, prompt.size() - room, t.cut, 1);
  if (!row.fields.contains(t.cut_field) || !row.fields[t.cut_field].is_string())
    throw bad_file(t.data, "row " + std::to_string(row.number) + ": '" + t.cut_field + "', which is cut, is no text");
  std::string const& field = row.fields[t.cut_field].get_ref<std::string const&>();
  auto const whole = text.encode(field, false);
  for (std::size_t over = prompt.size() - room; over <= whole.size(); over += prompt.size() - room) {
    std::string left = valid_text(text.decode(shortened(whole, over, t.cut, 0)));
    if (left.starts_with(' ') && !field.starts_with(' '))
      left.erase(0, 1);  // the tokenizer's own, or one that was cut open
    prompt = text.encode(t.prompt->one(row, t.cut_field, left));
    if (prompt.size() <= room) return prompt;
  }
  throw bad_file(t.data, here + ", even without '" + t.cut_field + "'; give a longer --length");
}

std::vector<std::string> all_of(std::vector<text_template> const& templates, data_row const& row) {
  std::vector<std::string> texts;
  for (text_template const& one : templates)
    for (std::string& text : one.all(row)) texts.push_back(std::move(text));
  return texts;
}

}  // namespace

task load_task(std::string const& path, std::string const& data) {
  json const all = json::parse(reference_model::read_text(path), nullptr, false);
  if (!all.is_object()) throw bad_file(path, "is no JSON object; docs/guide/tasks.md says what a task file has");
  key_reader const key{path, all};
  key.knows({"about", "data", "each", "prompt", "answers", "classes", "choices", "cut", "length", "new_tokens", "stop",
             "metrics"});

  namespace fs = std::filesystem;
  parsed_task t{path, key.text("data")};
  if (data.empty())
    t.data = (fs::path(path).parent_path() / t.data).string();
  else
    t.data = fs::is_directory(data) ? (fs::path(data) / t.data).string() : data;
  t.each = key.texts("each");
  t.prompt.emplace(key.text("prompt"), path, "prompt");
  t.answers = key.templates("answers");
  if (t.answers.empty()) key.refuse("answers", "is missing; give a template or several");
  t.classes = key.templates("classes");
  t.choices = key.templates("choices");
  t.new_tokens = t.choices.empty() ? key.number("new_tokens", 1) : 1;
  if (!t.choices.empty() && (key.has("new_tokens") || key.has("stop")))
    key.refuse(key.has("stop") ? "stop" : "new_tokens",
               "is given with choices, of which the likeliest is taken; give one of the two");
  t.stop = key.texts("stop");
  if (key.has("cut")) {
    json const& cut = all["cut"];
    if (!cut.is_object())
      key.refuse("cut", "is no object; give {\"side\": \"left\", \"middle\" or \"right\", \"field\": NAME}");
    key_reader const inner{path, cut};
    inner.knows({"side", "field"});
    std::string const where = inner.text("side");
    t.cut = where == "left"     ? side::left
            : where == "middle" ? side::middle
            : where == "right"  ? side::right
                                : side::none;
    if (t.cut == side::none) key.refuse("cut side", "is '" + where + "'; give left, middle or right");
    if (cut.contains("field")) t.cut_field = inner.text("field");
    if (!t.cut_field.empty() && !t.prompt->names(t.cut_field))
      key.refuse("cut field", "is '" + t.cut_field + "'; prompt does not name it");
  }
  task made{fs::path(path).stem().string(), key.texts("metrics")};
  if (made.metrics.empty()) key.refuse("metrics", "is missing; give the names of one or more");
  for (std::string const& name : made.metrics)
    if (!name.starts_with(command_metric)) find_metric(name, path + ": metrics");
  made.source = all.dump();
  made.usual_length = key.has("length") ? key.number("length", 16) : 0;

  made.draw = [t](tokenizer const& text, draw_request const& asked) {
    auto const rows = rows_of(t, asked.seed);
    std::vector<sample> samples;
    for (std::size_t i = 0; i < std::min(asked.count, rows.size()); ++i) {
      sample s;
      s.new_tokens = t.new_tokens;
      s.stop = t.stop;
      s.answers = all_of(t.answers, rows[i]);
      s.classes = all_of(t.classes, rows[i]);
      s.choices = all_of(t.choices, rows[i]);
      if (s.answers.empty())
        throw bad_file(t.data, "row " + std::to_string(rows[i].number) + " has no answers; leave it out");
      for (std::string const& choice : s.choices)
        s.new_tokens = std::max(s.new_tokens, text.encode(choice, false).size());
      if (asked.length != 0 && asked.length <= s.new_tokens)
        throw bad_file(t.path, "--length is " + std::to_string(asked.length) + ", answers alone have " +
                                   std::to_string(s.new_tokens) + " tokens; give more");
      s.prompt = prompt_of(t, text, rows[i], asked.length == 0 ? 0 : asked.length - s.new_tokens);
      samples.push_back(std::move(s));
    }
    return samples;
  };
  return made;
}

std::string shipped_task(std::string const& name) {
  if (name.find("..") != std::string::npos) return "";
  std::string const path = std::string(KVSIFT_SOURCE_DIR "/examples/tasks/") + name + ".json";
  return std::filesystem::exists(path) ? path : "";
}

}  // namespace programs
