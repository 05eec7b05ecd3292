// The policies there are: what goes first, what they remember, what that costs, and which fields they take.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <common/arguments.hpp>
#include <common/errors.hpp>
#include <common/json_output.hpp>
#include <common/output_file.hpp>
#include <common/policy_choice.hpp>
#include <common/table.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/json_text.hpp>

namespace {

using namespace programs;
using kvsift::moment;

struct arguments {
  std::vector<std::string> names;
  std::string cases;
  bool markdown = false, as_json = false;
};

// What a policy is made of, asked of the policy itself, as its name alone makes it for a budget of 1,024 slots.
struct parts {
  kvsift::catalogue_entry const* entry;
  kvsift::catalogue_policy made;
  std::string scope, asked, columns;
  std::size_t bytes = 0;  // of the columns, a slot
  std::size_t fed = 0;    // of them, a step reads and writes
  std::size_t read = 0;   // of them, a decision reads
};

std::string joined(std::vector<std::string> const& words, char const* separator = ", ") {
  std::string text;
  for (std::string const& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

kvsift::any_rule const& decode_rule(kvsift::any_policy const& p) {
  bool const first = includes(p.rules.first.when, moment::before_append | moment::after_attention);
  return first ? p.rules.first : p.rules.rest.first;
}

std::string scope_of(kvsift::catalogue_entry const& entry, kvsift::any_rule const& rule) {
  std::vector<std::string> guarded;
  if (rule.guards.sinks != 0) guarded.push_back("sinks");
  if (rule.guards.newest != 0)
    guarded.push_back(rule.scope.excluded() != 0           ? "the newest `newest`"
                      : kvsift::has_field(entry, "recent") ? "the newest `recent`"
                      : kvsift::has_field(entry, "window") ? "the last `window`"
                                                           : "the newest");
  if (rule.scope.excluded() != 0) guarded.push_back("the `excluded` most varying");
  if (guarded.empty()) return "all";
  return "all but " + joined(guarded) + (rule.who == kvsift::unit::shared ? "; one choice for all heads" : "");
}

std::string asked_of(kvsift::any_policy const& policy) {
  kvsift::policy_facts const facts = policy.facts();
  std::vector<std::string> words;
  if (includes(facts.moments, moment::prompt_end))
    words.push_back(kvsift::detail::each_head_measures(policy.budget) ? "the end of every prompt" : "a prompt that is too long");
  if (includes(facts.moments, moment::piece_end)) words.push_back("each piece of a long prompt");
  if (includes(facts.moments, moment::before_append)) words.push_back("before each append");
  if (includes(facts.moments, moment::after_attention)) words.push_back("after each attention");
  return words.empty() ? "never" : joined(words);
}

// f(name, bytes a slot, the same once the prompt is in, fed by attention) for each column that a policy asks for.
template <class F>
void for_each_column(kvsift::any_policy const& policy, F const& f) {
  kvsift::all_columns const carried = policy.carried();
  policy.columns().for_each([&]<class C>(C const& column, std::size_t) {
    std::size_t const kept = carried.get<C>().width() * sizeof(typename C::element);
    if (column.width() != 0) f(kvsift::column_name<C>(), column.width() * sizeof(typename C::element), kept, C::feeds_on_attention);
  });
}

parts parts_of(kvsift::catalogue_entry const& entry) {
  parts p{&entry, kvsift::make_policy(kvsift::with_defaults(kvsift::policy_fields(entry.name), 1024)), {}, {}, {}};
  kvsift::any_policy const& policy = p.made.value;
  kvsift::policy_facts const facts = policy.facts();
  bool const decodes = includes(facts.moments, moment::before_append | moment::after_attention);
  p.scope = facts.moments != moment{} ? scope_of(entry, decodes ? decode_rule(policy) : policy.rules.first) : "-";
  p.asked = asked_of(policy);
  std::vector<std::string> names;
  for_each_column(policy, [&](char const* name, std::size_t bytes, std::size_t kept, bool fed) {
    names.push_back(std::string(name) + " " + std::to_string(bytes) + (kept == 0 ? " (prompt only)" : ""));
    p.bytes += kept;
    p.fed += fed ? kept : 0;
  });
  p.columns = names.empty() ? "-" : joined(names);
  if (decodes) p.read = decode_rule(policy).columns().bytes_per_slot();
  return p;
}

std::string fields_of(kvsift::catalogue_entry const& entry) {
  std::vector<std::string> words;
  kvsift::for_each_field(entry, [&](std::string_view field, char mark, std::string_view value) {
    words.push_back(std::string(field) + (mark == '=' ? "=" + std::string(value) : mark == '?' ? "?" : ""));
  });
  return joined(words, " ");
}

std::vector<std::string> other_names(kvsift::catalogue_entry const& entry) {
  std::vector<std::string> names;
  if (*entry.alias != '\0') names.push_back(entry.alias);
  for (kvsift::catalogue_alias const& a : kvsift::aliases)
    if (std::string_view(a.policy) == entry.name) names.push_back(a.name);
  return names;
}

// Recorded cases of a policy in the cases.json of traces.
std::size_t cases_of(reference_model::json const& cases, std::string const& policy) {
  std::size_t n = 0;
  for (auto const& one : cases)
    n += one.at("policy").value("policy", "") == policy && !one.contains("status") ? 1u : 0u;
  return n;
}

std::string step_bytes(parts const& p) {
  if (p.fed == 0 && p.read == 0) return "0";
  std::string text = p.fed == 0 ? "" : "2 x " + std::to_string(p.fed);
  if (p.read != 0) text += (text.empty() ? "" : " + ") + std::to_string(p.read);
  return text;
}

std::string code(std::string const& text) { return text.empty() ? "" : "`" + text + "`"; }

std::string as_page(std::vector<parts> const& all, reference_model::json const& cases) {
  std::string page =
      "# Catalogue of policies\n\n"
      "Written by `catalogue --markdown`; a test holds it to the code. Bytes are those of a slot of one KV head, "
      "beside K, V and the position (4), for a budget of\n"
      "1,024 slots and the defaults that a bare name has. *Step* is what a decode step reads and writes of them for "
      "each slot held: columns fed by attention are read\n"
      "and written in the pass over K and V, then the decision reads its own. A column is born with its token, fed "
      "until that goes, and moves with it; nothing is ever\n"
      "reset. Policies act on any layout (rows, pages) and any position rule (`original`, `in_cache`). Terms: "
      "[vocabulary](vocabulary.md); formulas and costs in full:\n"
      "[quick reference](quick_reference.md).\n\n"
      "| policy | goes first | score (the lowest goes) | of which slots | asked at | columns, bytes | step, bytes | "
      "recorded cases | source |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (parts const& p : all) {
    std::string also;
    for (std::string const& name : other_names(*p.entry)) also += (also.empty() ? " (also " : ", ") + code(name);
    if (!also.empty()) also += ")";
    std::string score = p.entry->score;
    for (std::size_t at = 0; (at = score.find('|', at)) != std::string::npos; at += 2) score.replace(at, 1, "\\|");
    std::size_t const recorded = cases_of(cases, p.entry->name);
    page += "| " + code(p.entry->name) + also + " | " + p.entry->goes + " | " + score + " | " + p.scope + " | " +
            p.asked + " | " + p.columns + " | " + step_bytes(p) + " | " +
            (recorded == 0 ? "laws and oracle" : std::to_string(recorded)) + " | " + p.entry->source + " |\n";
  }
  page +=
      "\n## Fields\n\n`f` is required in a policy file, `f=v` has that default, `f?` may be left out. A bare name "
      "takes the defaults of the original for its budget.\n\n"
      "| policy | fields |\n| --- | --- |\n";
  for (parts const& p : all) page += "| " + code(p.entry->name) + " | " + code(fields_of(*p.entry)) + " |\n";
  page += "\n## Names of the originals\n\n| name | is | with |\n| --- | --- | --- |\n";
  for (parts const& p : all)
    if (*p.entry->alias != '\0') page += "| " + code(p.entry->alias) + " | " + code(p.entry->name) + " | |\n";
  for (kvsift::catalogue_alias const& a : kvsift::aliases)
    page += "| " + code(a.name) + " | " + code(a.policy) + " | " + code(a.fields) + " |\n";
  for (named_setting const& s : settings_with_names()) page += "| " + code(s.name) + " | a policy file | " + code(s.text) + " |\n";
  for (kvsift::other_name const& a : kvsift::other_names) page += "| " + code(a.name) + " | refused | " + a.remedy + " |\n";
  page += "\n## Where an original does otherwise\n\n";
  for (parts const& p : all)
    if (*p.entry->note != '\0') page += "- " + code(p.entry->name) + ": " + p.entry->note + "\n";
  return page;
}

std::string as_json(std::vector<parts> const& all) {
  std::string lines;
  for (parts const& p : all)
    lines += json_line({{"policy", p.entry->name},
                        {"also", other_names(*p.entry)},
                        {"fields", fields_of(*p.entry)},
                        {"goes", p.entry->goes},
                        {"score", p.entry->score},
                        {"scope", p.scope},
                        {"asked", p.asked},
                        {"columns", p.columns},
                        {"bytes_per_slot", p.bytes},
                        {"fed_bytes", p.fed},
                        {"read_bytes", p.read},
                        {"source", p.entry->source},
                        {"note", p.entry->note}});
  return lines;
}

// One policy in full, for people.
std::string as_text(parts const& p) {
  std::string text = std::string(p.entry->name) + "\n";
  auto const line = [&](char const* what, std::string const& value) {
    if (!value.empty())
      text += "  " + std::string(what) + std::string(14 - std::string_view(what).size(), ' ') + value + "\n";
  };
  line("also", joined(other_names(*p.entry)));
  line("goes first", p.entry->goes);
  line("score", p.entry->score);
  line("of slots", p.scope);
  line("asked at", p.asked);
  line("columns", p.columns == "-" ? "none" : p.columns + " bytes a slot");
  line("step", step_bytes(p) + " bytes a slot beside K and V");
  line("fields", fields_of(*p.entry));
  line("source", p.entry->source);
  line("note", p.entry->note);
  return text;
}

int list(arguments const& a) {
  std::vector<parts> all;
  std::string settings;  // those asked for
  for (std::string const& name : a.names) {
    auto const is = [&](named_setting const& s) { return name == s.name; };
    auto const named = settings_with_names();
    auto const setting = std::find_if(named.begin(), named.end(), is);
    if (setting == named.end()) all.push_back(parts_of(kvsift::find_policy(name)));
    else settings += std::string(setting->name) + "\n  stands for    " + setting->text + "\n  head scores   --set allocator.scores=FILE\n";
  }
  if (a.names.empty())
    for (kvsift::catalogue_entry const& entry : kvsift::catalogue) all.push_back(parts_of(entry));
  if (a.markdown) {
    reference_model::json const cases =
        a.cases.empty() ? reference_model::json::array()
                        : reference_model::json::parse(reference_model::read_text(a.cases, 1u << 24), nullptr, false);
    if (!cases.is_array())
      throw usage_error("--cases '" + a.cases + "' is no list of cases; give the cases.json of recorded traces");
    print_now(as_page(all, cases));
  } else if (a.as_json) {
    if (!settings.empty()) throw usage_error("--json has no policy files that stand behind a name; leave headkv and cokv out");
    print_now(as_json(all));
  } else if (!a.names.empty()) {
    for (parts const& p : all) print_now(as_text(p));
    print_now(settings);
  } else {
    table t({"policy", "goes first", "bytes", "fields"});
    for (parts const& p : all) t.add({p.entry->name, p.entry->goes, std::to_string(p.bytes), fields_of(*p.entry)});
    print_now(t.aligned());
    for (named_setting const& s : settings_with_names()) print_now(std::string(s.name) + " stands for " + s.text + "\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("catalogue", [&] {
    command_line line("The policies there are, with their fields and what they cost.");
    arguments a;
    line.add("--policy", a.names, "Only these, in full; repeat it or separate by commas").separated_by_commas();
    line.add("--markdown", a.markdown, "Print the page docs/catalogue.md");
    line.add("--cases", a.cases, "--markdown: cases.json of recorded traces, which are counted");
    line.add("--json", a.as_json, "Print one JSON object a policy");
    line.example("catalogue --policy roco,lsh");
    if (auto const status = line.parse(argc, argv)) return *status;
    return list(a);
  });
}
