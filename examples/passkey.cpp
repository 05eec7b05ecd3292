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
#include <common/passkey_task.hpp>
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

// One policy at one budget.
struct outcome {
  policy_choice choice;
  position_plan plan;
  passkey_answers found;
};

std::string budget_text(outcome const& o) { return o.choice.bounded() ? std::to_string(o.choice.slots()) : "-"; }

std::string as_json(arguments const& a, outcome const& o, passkey_set const& set) {
  std::vector<json_value> each;
  for (std::size_t i = 0; i < set.prompts.size(); ++i)
    each.push_back(json_object({{"depth", set.prompts[i].depth},
                                {"target", set.prompts[i].target},
                                {"answer", o.found.answers[i]},
                                {"correct", o.found.right(i, set)},
                                {"tokens", set.prompts[i].tokens}}));
  return json_line({{"policy", o.choice.name},
                    {"budget", o.choice.bounded() ? json_value(o.choice.slots()) : nullptr},
                    {"positions", name_of(o.plan.stand)},
                    {"storage", o.choice.storage},
                    {"layout", a.shared.layout},
                    {"length", a.length},
                    {"seed", a.shared.seed},
                    {"accuracy", o.found.accuracy(set)},
                    {"compression", o.found.saved.vectors},
                    {"compression_with_bookkeeping", o.found.saved.with_bookkeeping},
                    {"prompts", each}});
}

std::string depth_text(passkey_set const& set, std::size_t depth) {
  return fixed(100 * set.prompts[depth].depth, 0) + " %";
}

// For people: a row a policy and budget, a column a depth.
table as_table(std::vector<outcome> const& all, passkey_set const& set) {
  std::vector<std::string> header{"policy", "budget", "all"};
  for (std::size_t d = 0; d < set.depths; ++d) header.push_back("at " + depth_text(set, d));
  table t(header);
  for (outcome const& o : all) {
    std::vector<std::string> row{o.choice.name, budget_text(o), fixed(100 * o.found.accuracy(set), 1) + " %"};
    for (std::size_t d = 0; d < set.depths; ++d) row.push_back(fixed(100 * o.found.accuracy(set, d), 1) + " %");
    t.add(row);
  }
  return t;
}

// For programs: a row a policy, budget and depth.
table as_rows(std::vector<outcome> const& all, passkey_set const& set) {
  table t({"policy", "budget", "depth", "prompts", "accuracy"});
  for (outcome const& o : all)
    for (std::size_t d = 0; d < set.depths; ++d)
      t.add({o.choice.name, budget_text(o), fixed(set.prompts[d].depth, 4), std::to_string((set.prompts.size() - d + set.depths - 1) / set.depths),
             fixed(o.found.accuracy(set, d), 4)});
  return t;
}

std::string as_picture(arguments const& a, std::vector<outcome> const& all, passkey_set const& set) {
  heat_map map;
  map.title = "Pass keys found in prompts of " + std::to_string(a.length) + " tokens";
  map.row_label = "slots per KV head";
  map.column_label = "depth of the key";
  map.value_label = "found";
  for (std::size_t d = 0; d < set.depths; ++d) map.columns.push_back(depth_text(set, d));
  for (outcome const& o : all) {
    std::string const row = o.choice.bounded() ? std::to_string(o.choice.slots()) : "all";
    if (std::find(map.rows.begin(), map.rows.end(), row) == map.rows.end()) map.rows.push_back(row);
  }
  double const none = std::numeric_limits<double>::quiet_NaN();
  for (outcome const& o : all) {
    auto panel = std::find_if(map.panels.begin(), map.panels.end(), [&](heat_panel const& p) { return p.name == o.choice.name; });
    if (panel == map.panels.end())
      panel = map.panels.insert(panel, {o.choice.name, std::vector(map.rows.size(), std::vector(set.depths, none))});
    std::string const row = o.choice.bounded() ? std::to_string(o.choice.slots()) : "all";
    auto const r = static_cast<std::size_t>(std::find(map.rows.begin(), map.rows.end(), row) - map.rows.begin());
    for (std::size_t d = 0; d < set.depths; ++d) panel->cells[r][d] = o.found.accuracy(set, d);
  }
  return draw(map);
}

int passkey(arguments const& a) {
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  passkey_set const set = draw_passkeys(m, a.shared.seed, a.prompts, a.depths, a.length);

  std::vector<outcome> all;
  for (policy_choice& choice : choose_all(a.shared, a.length, set.longest)) {
    outcome o;
    o.plan = plan_passkeys(a.shared, choice, m, set);
    o.choice = std::move(choice);
    all.push_back(std::move(o));
  }
  result_files files(a.shared.out, {"passkey.csv", "passkey.svg", "passkey.jsonl"});
  if (!a.as_json)
    for (std::string const& line : explained_budgets(a.shared, a.length)) std::fprintf(stderr, "%s\n", line.c_str());

  long long done = 0;
  progress shown("prompts", static_cast<long long>(all.size() * set.prompts.size()));
  for (outcome& o : all)
    o.found = find_passkeys(m, o.choice, o.plan, set, a.shared.executor, [&] { shown.at(++done, o.choice.name); });
  shown.clear();

  std::string objects;
  for (outcome const& o : all) objects += as_json(a, o, set);
  if (files) files.commit({as_rows(all, set).csv(), as_picture(a, all, set), objects});
  print_now(a.as_json ? objects : as_table(all, set).aligned());
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
