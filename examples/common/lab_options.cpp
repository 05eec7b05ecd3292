#include <common/lab_options.hpp>

#include <algorithm>

#include <common/json_output.hpp>
#include <common/tasks/result_folder.hpp>

namespace programs {

namespace {

// What every run has, whatever its task.
json_value key_with(lab_options const& a, lab_run const& r, json_value const& with) {
  return json_object({{"task", r.task},
                      {"policy", r.choice.name},
                      {"budget", r.choice.bounded() ? json_value(r.choice.slots()) : nullptr},
                      {"set", a.shared.sets},
                      {"storage", r.choice.storage},
                      {"positions", name_of(r.plan.stand)},
                      {"layout", a.shared.layout},
                      {"bound", a.shared.bound},
                      {"pin", a.shared.pin},
                      {"prefill", a.shared.prefill},
                      {"last_alone", a.shared.decode_first_token},
                      {"model", a.shared.model},
                      {"tokenizer", a.shared.tokenizer},
                      {"align", a.shared.align},
                      {"seed", a.shared.seed},
                      {"with", with}});
}

}  // namespace

std::string key_of(lab_options const& a, lab_run const& r) {
  if (r.perplexity())
    return key_with(a, r,
                    json_object({{"text", a.text},
                                 {"drawn_from", r.drawn_from},
                                 {"tokens", a.tokens},
                                 {"window", a.window},
                                 {"from", a.from},
                                 {"probe", a.probe}}))
        .text();
  return key_with(a, r,
                  json_object({{"length", r.length},
                               {"prompts", a.prompts},
                               {"depths", a.depths},
                               {"haystack", a.haystack},
                               {"drawn_from", r.drawn_from},
                               {"data", a.data},
                               {"probe", a.probe}}))
      .text();
}

std::string folder_key_of(lab_options const& a, lab_run const& r) {
  return key_with(a, r,
                  json_object({{"length", r.length},
                               {"depths", std::min(a.depths, a.prompts)},
                               {"haystack", a.haystack},
                               {"drawn_from", r.begins_with},
                               {"data", a.data}}))
      .text();
}

std::string folder_of(lab_options const& a, lab_run const& r) {
  if (a.shared.out.empty() || r.perplexity()) return "";
  std::string name = shown_name(r.choice.asked);
  auto const add = [&](std::string const& part, bool differs) {
    if (differs) name += "-" + part;
  };
  add(r.budget, !r.budget.empty());
  for (std::string const& set : a.shared.sets) add(set, true);
  add(name_of(r.plan.stand), r.plan.stand != standing::original);
  add("bound=" + a.shared.bound, a.shared.bound != "both");
  add(a.shared.layout, a.shared.layout != "rows");
  add("prefill=" + a.shared.prefill, a.shared.prefill != "whole");
  add("decode_first_token", a.shared.decode_first_token);
  add("pin=" + a.shared.pin, !a.shared.pin.empty());
  add("seed=" + std::to_string(a.shared.seed), a.shared.seed != 1);
  std::string const of = path_part(task_label(r.task)) + (r.length > 0 ? "-" + std::to_string(r.length) : "");
  std::string const in = a.checkpoint.empty() ? "" : path_part(a.checkpoint) + "/";
  return a.shared.out + "/" + in + path_part(name) + "/" + of;
}

std::string command_of(lab_options const& a, lab_run const& r) {
  std::string line = "lab";
  auto const add = [&](std::string const& option, std::string const& value) {
    if (value.empty()) return;
    std::string signs = value;
    std::erase_if(signs, [](char c) { return c == '/' || c == ',' || c == ':'; });
    bool const plain = path_part(signs) == signs;
    std::string quoted = "'";
    for (char const c : value) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += " " + option + " " + (plain ? value : quoted + "'");
  };
  shared_options const& o = a.shared;
  add("--policy", r.choice.asked);
  add("--budget", r.budget);
  for (std::string const& set : o.sets) add("--set", set);
  add("--tasks", r.task);
  if (r.length > 0) add("--length", std::to_string(r.length));
  if (r.perplexity()) {
    add("--text", a.text);
    add("--tokens", std::to_string(a.tokens));
    if (a.window != 0) add("--window", std::to_string(a.window));
    add("--from", std::to_string(a.from));
  } else {
    add("--prompts", std::to_string(a.prompts));
    add("--depths", std::to_string(a.depths));
    add("--haystack", a.haystack);
    add("--data", a.data);
  }
  if (a.probe != lab_options{}.probe) add("--probe", std::to_string(a.probe));
  add("--model", o.model);
  add("--tokenizer", o.tokenizer);
  add("--positions", r.choice.positions);
  add("--align", o.align);
  if (o.layout != "rows") add("--layout", o.layout);
  if (o.bound != "both") add("--bound", o.bound);
  add("--pin", o.pin);
  if (o.prefill != "whole") add("--prefill", o.prefill);
  if (o.decode_first_token) line += " --decode-first-token";
  add("--seed", std::to_string(o.seed));
  if (o.executor != "serial") add("--executor", o.executor);
  add("--out", o.out);
  return line;
}

}  // namespace programs
