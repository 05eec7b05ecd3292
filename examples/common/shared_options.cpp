#include <common/shared_options.hpp>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <common/storage.hpp>
#include <common/table.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/text/load_tokenizer.hpp>
#include <reference_model/text/utf8.hpp>

#ifndef KVSIFT_SHIPPED_CHECKPOINT
#define KVSIFT_SHIPPED_CHECKPOINT KVSIFT_SOURCE_DIR "/reference_model/checkpoint"
#endif

namespace programs {

namespace {

// Refuses a cache of `slots` per KV head that the machine's memory cannot hold, before it is asked for.
void require_memory(policy_choice const& choice, reference_model::config const& c, std::uint64_t slots) {
  double const slot = 2 * static_cast<double>(vector_bytes(choice.storage, c.head_dim)) + 4;  // K, V and the position; columns come on top
  double const needed = slot * static_cast<double>(slots) * c.layers * c.kv_heads;
  double const there = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE));
  if (needed <= there) return;
  double const most = std::floor(there / slot / c.layers / c.kv_heads);
  throw usage_error(std::to_string(slots) + " slots per KV head take " + human_bytes(needed) + "; the machine has " + human_bytes(there) +
                    ", give " + (choice.bounded() ? "--budget" : "at most as many tokens, or a policy with a --budget") + " below " +
                    fixed(most, 0));
}

// How many slots the head that may keep most is above the mean.
std::uint64_t above_mean(policy_choice const& choice, reference_model::config const& c, std::uint64_t first_piece) {
  if (!choice.bounded()) return 0;
  std::uint64_t most = allocated(choice.made, choice.allocator, {c.layers, c.kv_heads, c.group(), c.head_dim, 1}).slots;
  if (choice.made.value.budget.measured()) most = std::max(most, first_piece);  // it cannot win more than there is
  return most - choice.slots();
}

// N of "chunk:N".
std::uint32_t chunk_tokens(std::string const& prefill) {
  std::string const digits = prefill.substr(6);
  bool const whole = !digits.empty() && digits.size() <= 9 && digits.find_first_not_of("0123456789") == std::string::npos;
  std::uint32_t const n = whole ? static_cast<std::uint32_t>(std::stoul(digits)) : 0;
  if (n < 1) throw usage_error("--prefill is '" + prefill + "'; give chunk:N with N from 1 to 999999999 tokens");
  return n;
}

}  // namespace

void add_model_options(command_line& line, shared_options& o) {
  line.add("--model", o.model, "Model folder, .safetensors file or llama2.c checkpoint (the shipped checkpoint)");
  line.add("--tokenizer", o.tokenizer, "Folder, tokenizer.json, vocab.json, llama2.c tokenizer.bin, or 'bytes' (the model's own)");
}

void add_shared_options(command_line& line, shared_options& o, bool many, std::string const& usual_policy) {
  std::string const several = many ? "; repeat it or separate by commas for several" : "";
  line.help_column(26);
  add_model_options(line, o);
  option const policy = line.add("--policy", o.policies, "Name, alias or JSON file of the eviction policy (" + usual_policy + ")" + several);
  line.add("--set", o.sets, "FIELD=VALUE of the policy; repeatable, overrides the file");
  option const budget = line.add("--budget", o.budgets, "Slots a KV head may keep, as N or P% of the run's tokens" + several);
  if (many) {
    policy.separated_by_commas();
    budget.separated_by_commas();
  }
  option const positions = line.add("--positions", o.positions, "Where survivors stand: original, in_cache, learned_align (with --align) or recompute (original while the model has positions for it)" + several);
  if (many) positions.separated_by_commas();
  line.add("--align", o.align, "Folder of KV-Align's networks: keys_network.safetensors and values_network.safetensors");
  line.add("--layout", o.layout, "rows: a head's slots lie together; pages: they are handed out, and given back, 32 at a time").shows_default();
  line.add("--executor", o.executor, "serial, parallel, parallel:N threads, or cuda in a build with it").shows_default();
  line.add("--bound", o.bound, "What the budget bounds: prompt (the cache grows after it), generated (the prompt stays) or both")
      .shows_default();
  line.add("--pin", o.pin, "A:B, positions A to B - 1 are never evicted");
  line.add("--seed", o.seed, "Seed of everything that is drawn").shows_default();
  line.add("--out", o.out, "Folder for tables, pictures and JSON; made when missing");
}

void add_mode_option(command_line& line, shared_options& o, bool many) {
  option const mode = line.add("--mode", o.modes, std::string("KV-Align's words for a window of 4 sinks and the newest tokens: kv (learned_align), sw (in_cache) or ar (recompute)") +
                                                      (many ? "; several by commas" : ""));
  if (many) mode.separated_by_commas();
}

void add_prompt_options(command_line& line, shared_options& o) {
  line.add("--prefill", o.prefill, "How the prompt is fed: whole; fit: what fits the budget, the rest token by token; chunk:N")
      .shows_default();
  line.add("--decode-first-token", o.decode_first_token, "Feed the last token of the prompt alone, to the cache that the prompt left");
}

std::string const& require_text(std::string const& text, std::string const& what) {
  if (text.empty()) throw usage_error(what + " is empty; give some text");
  if (auto const at = reference_model::first_invalid_utf8(text)) {
    throw usage_error(what + " is no valid UTF-8 at byte " + std::to_string(*at) + "; convert it to UTF-8");
  }
  return text;
}

std::string read_text_file(std::string const& option, std::string const& path) {
  std::string const text = reference_model::read_text(path, std::uint64_t{1} << 30);
  return require_text(text, option + " '" + path + "'");
}

loaded_model load(shared_options const& o) {
  std::string path = o.model;
  if (path.empty()) {
    char const* const named = std::getenv("KVSIFT_CHECKPOINT");
    path = named != nullptr && *named != '\0' ? named : KVSIFT_SHIPPED_CHECKPOINT;
    if (!std::filesystem::exists(path)) {
      throw usage_error("no checkpoint at '" + path + "'; give --model, or set KVSIFT_CHECKPOINT to its folder");
    }
  }
  loaded_model m{reference_model::load_model(path), nullptr, nullptr};
  m.text = reference_model::load_tokenizer(o.tokenizer, path, m.config());
  if (!o.align.empty()) m.networks = std::make_unique<reference_model::align_networks>(reference_model::load_align_networks(o.align, m.config()));
  return m;
}

namespace {

// What --mode means by one of its names, of which the original has several.
struct mode {
  char const* name;
  char const* positions;
  std::vector<std::string> aliases;
};
mode const& mode_of(std::string const& asked) {
  static std::vector<mode> const modes{{"kv", "learned_align", {"key_value_net", "kvn", "kv_align", "kva"}},
                                       {"sw", "in_cache", {"sliding_window"}},
                                       {"ar", "recompute", {"with_recompute", "wr", "attention_recomputation"}}};
  for (mode const& m : modes)
    if (asked == m.name || std::find(m.aliases.begin(), m.aliases.end(), asked) != m.aliases.end()) return m;
  throw usage_error("--mode is '" + asked + "'; give kv, sw or ar");
}

// Each mode with each budget.
std::vector<policy_choice> choose_modes(shared_options const& o, std::uint64_t base, std::uint64_t prompt) {
  if (!o.policies.empty()) throw usage_error("--mode is given with --policy; a mode is streaming_llm with 4 sinks, give one of the two");
  if (!o.positions.empty()) throw usage_error("--mode is given with --positions; a mode says where survivors stand, give one of the two");
  if (o.budgets.empty()) throw usage_error("--mode is given without --budget; give the slots of its window");
  std::vector<policy_choice> all;
  for (std::string const& asked : o.modes) {
    mode const& m = mode_of(asked);
    for (std::string const& budget : o.budgets) {
      all.push_back(choose_policy({"streaming_llm", o.sets, budget, o.pin, o.seed, base, o.bound, prompt}));
      all.back().name = m.name;
      all.back().positions = m.positions;
    }
  }
  return all;
}

}  // namespace

standing standing_of(std::string const& positions) {
  for (standing const s : {standing::original, standing::in_cache, standing::learned_align, standing::recompute})
    if (positions == name_of(s)) return s;
  throw usage_error("--positions is '" + positions + "'; give original, in_cache, learned_align or recompute");
}

std::vector<policy_choice> choose_all(shared_options const& o, std::uint64_t base, std::uint64_t prompt) {
  if (!o.modes.empty()) return choose_modes(o, base, prompt);
  std::vector<policy_choice> all;
  std::vector<std::string> const policies = o.policies.empty() ? std::vector<std::string>{"full"} : o.policies;
  std::vector<std::string> const budgets = o.budgets.empty() ? std::vector<std::string>{""} : o.budgets;
  for (std::string const& policy : policies) {
    for (std::string const& positions : o.positions) standing_of(positions);
    for (std::string const& budget : budgets) {
      if (!o.budgets.empty()) slots_of(budget, base);  // a budget that is none is refused for every policy
      policy_choice const choice = choose_policy({policy, o.sets, budget, o.pin, o.seed, base, o.bound, prompt});
      if (!choice.bounded() && &budget != &budgets.front()) continue;
      for (std::string const& positions : o.positions.empty() ? std::vector<std::string>{""} : o.positions) {
        all.push_back(choice);
        all.back().asked = policy;
        all.back().positions = positions;
        if (o.positions.size() > 1) all.back().name += ", " + positions;
      }
    }
  }
  bool const bounded = std::any_of(all.begin(), all.end(), [](policy_choice const& choice) { return choice.bounded(); });
  if (!o.budgets.empty() && !bounded)
    throw usage_error("--policy is " + all.front().name + ", which has no budget; give one that has, or leave --budget out");
  return all;
}

policy_choice choose_one(shared_options const& o, std::uint64_t base, std::uint64_t prompt) {
  if (o.modes.size() > 1) throw usage_error("--mode is given twice, " + o.modes[0] + " and " + o.modes[1] + "; give one");
  if (o.policies.size() > 1) throw usage_error("--policy is given twice, " + o.policies[0] + " and " + o.policies[1] + "; give one");
  if (o.budgets.size() > 1) throw usage_error("--budget is given twice, " + o.budgets[0] + " and " + o.budgets[1] + "; give one");
  if (o.positions.size() > 1) throw usage_error("--positions is given twice, " + o.positions[0] + " and " + o.positions[1] + "; give one");
  return std::move(choose_all(o, base, prompt).front());
}

std::vector<std::string> explained_budgets(shared_options const& o, std::uint64_t base) {
  std::vector<std::string> lines;
  for (std::string const& budget : o.budgets) {
    if (budget.empty() || budget.back() != '%') continue;
    lines.push_back("budget " + budget + " of " + std::to_string(base) + " tokens = " +
                    std::to_string(slots_of(budget, base)) + " slots per KV head");
  }
  return lines;
}

bool in_pages(shared_options const& o) {
  if (o.layout != "rows" && o.layout != "pages") throw usage_error("--layout is '" + o.layout + "'; give rows or pages");
  return o.layout == "pages";
}

namespace {

// To people who wait at a terminal or read a log; of each kind once, however many budgets are planned.
void say_once(std::string const& line) {
  static std::set<std::string> said;
  if (said.insert(line.substr(line.find(':'), 40)).second) std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

position_plan plan_positions(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                                    std::uint64_t tokens, std::uint64_t prompt) {
  reference_model::config const& c = m.config();
  std::string const& positions = choice.positions;
  std::optional<standing> asked;
  if (!positions.empty()) asked = standing_of(positions);
  constexpr std::uint64_t most = 0x7ffffffe;
  if (tokens > most) throw usage_error("the run has " + std::to_string(tokens) + " positions; give fewer tokens, at most " + std::to_string(most));
  std::uint64_t const limit = c.max_positions;
  bool const fits = tokens <= limit;
  std::uint64_t first_piece = prompt <= limit || !choice.bounded() ? prompt : choice.slots(), piece = 1;
  if (o.prefill == "fit") {
    if (choice.bounded()) first_piece = std::min<std::uint64_t>(prompt, choice.slots());
  } else if (o.prefill.rfind("chunk:", 0) == 0) {
    first_piece = piece = std::min<std::uint64_t>(prompt, chunk_tokens(o.prefill));
  } else if (o.prefill != "whole") {
    throw usage_error("--prefill is '" + o.prefill + "'; give whole, fit or chunk:N");
  }
  if (o.decode_first_token) {
    if (o.prefill != "whole") throw usage_error("--decode-first-token takes the whole prompt but one token at once; leave --prefill out");
    first_piece = std::max<std::uint64_t>(1, std::min(first_piece, prompt - 1));
  }
  std::uint64_t const needed = choice.needed(first_piece, tokens);
  bool const bounded = choice.bounded() && needed + above_mean(choice, c, first_piece) <= limit;
  bool const beyond = !fits && asked == standing::original && !c.learned_positions;  // numbers that the model has never seen
  if (!fits && asked == standing::original && c.learned_positions) {
    throw usage_error("the run has " + std::to_string(tokens) + " positions; the model has " + std::to_string(limit) +
                      ", use --positions learned_align or recompute with a bounded policy, or fewer tokens");
  }
  if (!fits && !bounded && !beyond) {
    throw usage_error("the run has " + std::to_string(tokens) + " positions; the model has " + std::to_string(limit) +
                      ", and " + choice.name + (!choice.bounded()       ? " has no budget"
                                                : choice.made.grows() ? " grows to " + std::to_string(needed) + " slots"
                                                                      : " keeps " + std::to_string(choice.slots()) + " slots") +
                      ": give a policy with a budget below " + std::to_string(limit) + ", or fewer tokens");
  }
  require_memory(choice, c, needed);
  position_plan plan;
  plan.stand = asked ? *asked : fits ? standing::original : c.learned_positions && m.networks ? standing::learned_align : standing::in_cache;
  if (plan.stand == standing::recompute && !bounded)
    throw usage_error("--positions is recompute; give a policy with a --budget below " + std::to_string(limit) + ", of which the window has one token more");
  if (plan.stand == standing::learned_align) {
    if (!m.networks) throw usage_error("positions are learned_align; give its networks, --align FOLDER");
    std::uint32_t const kept = choice.made.value.rules.first.guards.sinks, sinks = m.networks->sinks;
    if (kept < sinks)
      throw usage_error("sinks is " + std::to_string(kept) + " of " + choice.name + "; the networks of --align were trained beside " + std::to_string(sinks) +
                        ", give --set sinks=" + std::to_string(sinks) + " or a policy that keeps as many");
    std::uint64_t const longest = std::uint64_t{sinks} + std::min(m.networks->keys.view().positions, m.networks->values.view().positions);
    if (choice.slots() > longest)
      throw usage_error("--budget is " + std::to_string(choice.slots()) + "; the networks of --align '" + o.align + "' were trained for at most " + std::to_string(longest) +
                        " slots, give no more, or networks of a longer --window");
    plan.align = kvsift::learned_align{m.networks->keys.view(), m.networks->values.view(), sinks};
  }
  if (plan.stand == standing::learned_align && !c.learned_positions)
    say_once(choice.name + ": the model's positions are a rotation; --positions in_cache undoes it exactly, and needs no networks");
  if (plan.stand == standing::in_cache && c.learned_positions && tokens > choice.slots() && choice.bounded())
    say_once(choice.name + ": the model's positions are learned: once something goes, every token comes with the same one, and what follows is predicted badly;"
                           " --positions learned_align or recompute help");
  if (beyond)
    say_once(choice.name + ": the run has more positions than the model was trained for; what attends that far is predicted worse and worse,"
                           " which --positions in_cache with a budget avoids");
  if (plan.stand == standing::recompute && o.modes.empty() && choice.name != "streaming_llm")
    say_once(choice.name + ": --positions recompute runs the newest tokens again, one more than the budget, whatever the policy");
  bool const cuts_prompts_alone = choice.made.grows() && choice.made.value.facts().moments != kvsift::moment{};
  if (plan.stand != standing::recompute && choice.bounded() && cuts_prompts_alone && prompt <= choice.slots() && tokens > choice.slots())
    say_once(choice.name + ": it cuts prompts alone, and this one has " + std::to_string(prompt) + " tokens, which fit into " + std::to_string(choice.slots()) +
             " slots: nothing goes");
  plan.in_pages = in_pages(o);
  plan.first_piece = static_cast<std::uint32_t>(first_piece);
  plan.piece = static_cast<std::uint32_t>(piece);
  return plan;
}

session_options session_of(position_plan const& plan, policy_choice const& choice, loaded_model const& m, std::string const& executor, std::uint64_t tokens) {
  return {.capacity = static_cast<std::uint32_t>(choice.needed(plan.first_piece, tokens)),
          .longest_piece = std::max(plan.first_piece, plan.piece),
          .stand = plan.stand,
          .align = plan.align,
          .networks = m.networks.get(),
          .in_pages = plan.in_pages,
          .executor = executor,
          .text = m.text.get()};
}

}  // namespace programs
