#include <common/recall_prompts.hpp>

#include <algorithm>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

// The tokens that write an answer behind a text.
std::vector<std::uint32_t> answer_tokens(loaded_model const& m, std::string const& before, std::string const& answer) {
  std::vector<std::uint32_t> const first = m.text->encode(before, false),
                                   whole = m.text->encode(before + answer, false);
  if (whole.size() <= first.size() || !std::equal(first.begin(), first.end(), whole.begin()))
    return m.text->encode(answer, false);
  return {whole.begin() + static_cast<std::ptrdiff_t>(first.size()), whole.end()};
}

recall_set draw_recall(loaded_model const& m, task_options const& o) {
  recall_set recall{draw_passkeys(m, o.seed, o.prompts, o.depths, o.length), {}};
  for (passkey_prompt const& p : recall.set.prompts) recall.answers.push_back(answer_tokens(m, "is ", p.target));
  return recall;
}

recall_set read_prompts(loaded_model const& m, std::string const& path) {
  recall_set recall;
  passkey_set& set = recall.set;
  std::istringstream lines(read_text_file("--task", path));
  for (std::string line; std::getline(lines, line);) {
    auto const row = nlohmann::json::parse(line, nullptr, false);
    auto const is_text = [&](char const* field) {
      return row.is_object() && row.contains(field) && row[field].is_string() && !row[field].get<std::string>().empty();
    };
    std::string const where = "line " + std::to_string(set.prompts.size() + 1);
    if (!is_text("prompt") || !is_text("answer"))
      throw reference_model::bad_file(path, where + R"( is no {"prompt": TEXT, "answer": TEXT})");
    std::string const prompt = row["prompt"];
    passkey_prompt p{0.5, m.text->encode(prompt), row["answer"]};
    recall.answers.push_back(answer_tokens(m, prompt, p.target));
    if (recall.answers.back().size() > passkey_answer_tokens)
      throw reference_model::bad_file(path, where + " has an answer of more than " +
                                                std::to_string(passkey_answer_tokens) + " tokens; give shorter ones");
    set.longest = std::max(set.longest, p.tokens.size());
    set.prompts.push_back(std::move(p));
  }
  if (set.prompts.empty()) throw reference_model::bad_file(path, "has no prompts; give a line for each");
  return recall;
}

}  // namespace

recall_set recall_prompts(loaded_model const& m, task_options const& o) {
  if (o.task == "passkey") return draw_recall(m, o);
  if (o.task.find_first_of("/.") == std::string::npos)
    throw usage_error("--task is '" + o.task + "'; give passkey, text or a file of prompts, FILE.jsonl");
  return read_prompts(m, o.task);
}

}  // namespace programs
