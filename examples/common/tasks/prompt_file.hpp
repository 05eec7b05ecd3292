#pragma once
// Prompts that are written out: JSON Lines of {"prompt": TEXT, "answer": TEXT}, in their order, as a task.
#include <algorithm>
#include <string>

#include <common/tasks/rows.hpp>
#include <common/tasks/task.hpp>

namespace programs {

// An answer ends with as many characters as are right. Throws bad_file.
inline task prompt_file_task(std::string const& path) {
  using reference_model::bad_file;
  task t{path, {"exact_match"}};
  t.usual_length = 0;
  auto const rows = read_rows(path);
  auto const text_of = [](data_row const& row, char const* field) {
    auto const at = row.fields.find(field);
    return at != row.fields.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  for (data_row const& row : rows)
    if (text_of(row, "prompt").empty() || text_of(row, "answer").empty())
      throw bad_file(path, "line " + std::to_string(row.number) + R"( is no {"prompt": TEXT, "answer": TEXT})");
  for (data_row const& row : rows) t.source += row.fields.dump();
  t.draw = [path, rows, text_of](reference_model::tokenizer const& text, draw_request const& asked) {
    std::vector<sample> all;
    for (std::size_t i = 0; i < std::min(asked.count, rows.size()); ++i) {
      sample s;
      s.prompt = text.encode(text_of(rows[i], "prompt"));
      s.answers = {text_of(rows[i], "answer")};
      // The answer may be written in other tokens than its own, and behind a space.
      s.new_tokens = text.encode(s.answers[0], false).size() + 3;
      s.characters = s.answers[0].size();
      if (asked.length != 0 && s.tokens() > asked.length)
        throw bad_file(path, "line " + std::to_string(rows[i].number) + ": prompt and answer take " +
                                 std::to_string(s.tokens()) + " tokens; give a longer --length");
      all.push_back(std::move(s));
    }
    return all;
  };
  return t;
}

}  // namespace programs
