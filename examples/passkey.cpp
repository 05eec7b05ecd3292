// Hides a number in a long prompt and asks for it: what a policy must not evict, found out by budget and depth.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <common/heat_map.hpp>
#include <common/json_output.hpp>
#include <common/output_file.hpp>
#include <common/passkey_prompt.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::uint64_t length = 1000, prompts = 50, depths = 5;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  add_prompt_options(line, a.shared);
  line.add("--length", a.length, "Tokens of a prompt and its answer, at most").shows_default();
  line.add("--prompts", a.prompts, "Prompts for each policy and budget, the same for all").shows_default();
  line.add("--depths", a.depths, "Places of the key, from the begin to the end of the prompt").shows_default();
  line.add("--json", a.as_json, "Print one JSON object a policy and budget, with tokens, target and answer of each prompt");
  line.example("passkey --policy roco,streaming_llm --budget 100%,50%,25%,12% --prompts 100 --out results\n"
                "--out writes passkey.csv, passkey.svg and passkey.jsonl. P% is of the length.");
}

constexpr std::size_t answer_tokens = 8;  // drawn at most: five digits, and a space that the tokenizer may put first

// One policy at one budget.
struct outcome {
  policy_choice choice;
  position_plan plan;
  std::vector<std::string> answers;  // [prompts]

  bool right(std::size_t prompt, std::vector<passkey_prompt> const& prompts) const {
    return answers[prompt] == prompts[prompt].target;
  }
};

// The depth of prompt i is depth i mod D, so that every depth has as many prompts as another, or one less.
double accuracy(outcome const& o, std::vector<passkey_prompt> const& prompts, std::size_t depth, std::size_t depths) {
  std::size_t right = 0, all = 0;
  for (std::size_t i = depth; i < prompts.size(); i += depths, ++all) right += o.right(i, prompts) ? 1u : 0u;
  return static_cast<double>(right) / static_cast<double>(all);
}

// The five characters that the model writes next, greedily, without a space in front.
std::string answer(loaded_model const& m, session& run, passkey_prompt const& prompt, position_plan const& plan) {
  run.clear();
  float const* logits = feed_prompt(run, prompt.tokens, plan);
  std::uint32_t before = prompt.tokens.back();
  std::string text;
  for (std::size_t i = 0; i < answer_tokens; ++i) {
    auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
    if (m.text->ends(next)) break;
    text += m.text->piece(before, next);
    text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
    if (text.size() >= prompt.target.size() || i + 1 == answer_tokens) break;
    logits = run.feed(next);
    before = next;
  }
  return text.substr(0, prompt.target.size());
}

std::string budget_text(outcome const& o) { return o.choice.bounded() ? std::to_string(o.choice.slots()) : "-"; }

std::string as_json(arguments const& a, outcome const& o, std::vector<passkey_prompt> const& prompts) {
  std::vector<json_value> each;
  for (std::size_t i = 0; i < prompts.size(); ++i)
    each.push_back(json_object({{"depth", prompts[i].depth},
                                {"target", prompts[i].target},
                                {"answer", o.answers[i]},
                                {"correct", o.right(i, prompts)},
                                {"tokens", prompts[i].tokens}}));
  return json_line({{"policy", o.choice.name},
                    {"budget", o.choice.bounded() ? json_value(o.choice.slots()) : nullptr},
                    {"positions", o.plan.in_cache ? "in_cache" : "original"},
                    {"storage", o.choice.storage},
                    {"length", a.length},
                    {"seed", a.shared.seed},
                    {"accuracy", accuracy(o, prompts, 0, 1)},
                    {"prompts", each}});
}

std::string depth_text(std::vector<passkey_prompt> const& prompts, std::size_t depth) {
  return fixed(100 * prompts[depth].depth, 0) + " %";
}

// For people: a row a policy and budget, a column a depth.
table as_table(std::vector<outcome> const& all, std::vector<passkey_prompt> const& prompts, std::size_t depths) {
  std::vector<std::string> header{"policy", "budget", "all"};
  for (std::size_t d = 0; d < depths; ++d) header.push_back("at " + depth_text(prompts, d));
  table t(header);
  for (outcome const& o : all) {
    std::vector<std::string> row{o.choice.name, budget_text(o), fixed(100 * accuracy(o, prompts, 0, 1), 1) + " %"};
    for (std::size_t d = 0; d < depths; ++d) row.push_back(fixed(100 * accuracy(o, prompts, d, depths), 1) + " %");
    t.add(row);
  }
  return t;
}

// For programs: a row a policy, budget and depth.
table as_rows(std::vector<outcome> const& all, std::vector<passkey_prompt> const& prompts, std::size_t depths) {
  table t({"policy", "budget", "depth", "prompts", "accuracy"});
  for (outcome const& o : all)
    for (std::size_t d = 0; d < depths; ++d)
      t.add({o.choice.name, budget_text(o), fixed(prompts[d].depth, 4), std::to_string((prompts.size() - d + depths - 1) / depths),
             fixed(accuracy(o, prompts, d, depths), 4)});
  return t;
}

std::string as_picture(arguments const& a, std::vector<outcome> const& all, std::vector<passkey_prompt> const& prompts, std::size_t depths) {
  heat_map map;
  map.title = "Pass keys found in prompts of " + std::to_string(a.length) + " tokens";
  map.row_label = "slots per KV head";
  map.column_label = "depth of the key";
  map.value_label = "found";
  for (std::size_t d = 0; d < depths; ++d) map.columns.push_back(depth_text(prompts, d));
  for (outcome const& o : all) {
    std::string const row = o.choice.bounded() ? std::to_string(o.choice.slots()) : "all";
    if (std::find(map.rows.begin(), map.rows.end(), row) == map.rows.end()) map.rows.push_back(row);
  }
  double const none = std::numeric_limits<double>::quiet_NaN();
  for (outcome const& o : all) {
    auto panel = std::find_if(map.panels.begin(), map.panels.end(), [&](heat_panel const& p) { return p.name == o.choice.name; });
    if (panel == map.panels.end())
      panel = map.panels.insert(panel, {o.choice.name, std::vector(map.rows.size(), std::vector(depths, none))});
    std::string const row = o.choice.bounded() ? std::to_string(o.choice.slots()) : "all";
    auto const r = static_cast<std::size_t>(std::find(map.rows.begin(), map.rows.end(), row) - map.rows.begin());
    for (std::size_t d = 0; d < depths; ++d) panel->cells[r][d] = accuracy(o, prompts, d, depths);
  }
  return draw(map);
}

int passkey(arguments const& a) {
  if (a.prompts < 1) throw usage_error("--prompts is 0; give at least 1");
  if (a.depths < 1) throw usage_error("--depths is 0; give at least 1");
  threads_of(a.shared.executor);
  loaded_model const m = load(a.shared);
  std::size_t const depths = static_cast<std::size_t>(std::min(a.depths, a.prompts));
  passkey_prompts draw_prompt(*m.text, a.shared.seed);
  std::vector<passkey_prompt> prompts;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < a.prompts; ++i) {
    double const depth = depths == 1 ? 0.5 : static_cast<double>(i % depths) / static_cast<double>(depths - 1);
    prompts.push_back(draw_prompt.next(depth, static_cast<std::size_t>(a.length)));
    longest = std::max(longest, prompts.back().tokens.size());
  }

  std::vector<outcome> all;
  for (policy_choice& choice : choose_all(a.shared, a.length, longest)) {
    outcome o;
    o.plan = plan_positions(a.shared, choice, m.config(), longest + answer_tokens - 1, longest);
    o.choice = std::move(choice);
    all.push_back(std::move(o));
  }
  std::optional<output_file> csv, picture, lines;
  if (!a.shared.out.empty()) {
    make_output_folder(a.shared.out);
    csv.emplace("--out", a.shared.out + "/passkey.csv");
    picture.emplace("--out", a.shared.out + "/passkey.svg");
    lines.emplace("--out", a.shared.out + "/passkey.jsonl");
  }
  if (!a.as_json)
    for (std::string const& line : explained_budgets(a.shared, a.length)) std::fprintf(stderr, "%s\n", line.c_str());

  long long done = 0;
  progress shown("prompts", static_cast<long long>(all.size() * prompts.size()));
  for (outcome& o : all) {
    session run(m.model, o.choice,
                {.capacity = static_cast<std::uint32_t>(o.choice.needed(o.plan.first_piece, longest + answer_tokens)), .longest_piece = o.plan.first_piece,
                 .in_cache = o.plan.in_cache, .executor = a.shared.executor});
    for (passkey_prompt const& prompt : prompts) {
      o.answers.push_back(answer(m, run, prompt, o.plan));
      shown.at(++done, o.choice.name);
    }
  }
  shown.clear();

  std::string objects;
  for (outcome const& o : all) objects += as_json(a, o, prompts);
  if (csv) {
    csv->write(as_rows(all, prompts, depths).csv());
    picture->write(as_picture(a, all, prompts, depths));
    lines->write(objects);
    csv->commit();
    picture->commit();
    lines->commit();
  }
  print_now(a.as_json ? objects : as_table(all, prompts, depths).aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("passkey", [&] {
    command_line line("Hides a number in a long prompt and asks for it.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return passkey(a);
  });
}
