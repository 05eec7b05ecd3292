#pragma once
// The arguments that every program has, and the model they name.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <common/arguments.hpp>
#include <common/session.hpp>
#include <reference_model/io/align_networks.hpp>
#include <reference_model/model/weights.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace programs {

struct shared_options {
  std::string model, tokenizer;
  std::vector<std::string> policies, budgets, sets;
  std::vector<std::string> positions;  // none: original, or in_cache where original would leave the model's positions
  std::string align;                   // folder of KV-Align's networks
  std::vector<std::string> modes;      // kv, sw or ar: positions and policy in one word
  std::string executor = "serial", pin, out, bound = "both", layout = "rows";
  std::string prefill = "whole";    // whole, fit or chunk:N
  bool decode_first_token = false;  // the last token of the prompt is fed alone
  std::uint64_t seed = 1;
};

// --model and --tokenizer.
void add_model_options(command_line& line, shared_options& o);

// `many`: the program takes several policies, budgets and positions in one run, repeated or separated by commas.
void add_shared_options(command_line& line, shared_options& o, bool many, std::string const& usual_policy = "full");

// --mode, a word for --policy and --positions.
void add_mode_option(command_line& line, shared_options& o, bool many);

// --prefill and --decode-first-token, of programs that feed a prompt.
void add_prompt_options(command_line& line, shared_options& o);

// `text`, refused unless it is UTF-8 and holds something. `what` names argument or file.
std::string const& require_text(std::string const& text, std::string const& what);

// A whole text file, checked like require_text.
std::string read_text_file(std::string const& option, std::string const& path);

// A model with its tokenizer.
struct loaded_model {
  reference_model::model model;
  std::unique_ptr<reference_model::tokenizer> text;
  std::unique_ptr<reference_model::align_networks> networks{};  // of --align

  reference_model::config const& config() const { return model.config; }
};

// The model of --model, or the shipped checkpoint ($KVSIFT_CHECKPOINT names another). Throws usage_error or bad_file.
loaded_model load(shared_options const& o);

// The policies, budgets and positions of a run, each with each. `base`: the tokens that P% refers to; `prompt`: those that --bound
// generated keeps. An unbounded policy stands once.
std::vector<policy_choice> choose_all(shared_options const& o, std::uint64_t base, std::uint64_t prompt);

// The only policy of a run. Throws usage_error when --policy, --budget or --positions is given twice.
policy_choice choose_one(shared_options const& o, std::uint64_t base, std::uint64_t prompt);

// "budget 25% of 1000 tokens = 250 slots per KV head", one for each budget given in percent.
std::vector<std::string> explained_budgets(shared_options const& o, std::uint64_t base);

// How a run is laid over the model's positions.
struct position_plan {
  standing stand = standing::original;
  std::optional<kvsift::learned_align> align{};
  bool in_pages = false;          // how the slots of heads are laid out
  std::uint32_t first_piece = 1;  // tokens of the prompt that are fed at once
  std::uint32_t piece = 1;        // and of every piece of it that follows
};

// Whether --layout says pages. Throws usage_error unless it says rows or pages.
bool in_pages(shared_options const& o);

// `tokens` will be fed, the first `prompt` of them known at once. Refuses what the model has no positions for, unless they are a
// rotation and are asked for as original, and a cache that the machine's memory cannot hold.
position_plan plan_positions(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                             std::uint64_t tokens, std::uint64_t prompt);

// A session of `tokens` tokens, planned so.
session_options session_of(position_plan const& plan, policy_choice const& choice, loaded_model const& m, std::string const& executor, std::uint64_t tokens);

// Feeds the prompt as planned and calls `after()` behind every piece; the logits of its last token.
template <class After>
float const* feed_prompt(session& run, std::vector<std::uint32_t> const& prompt, position_plan const& plan, After after) {
  float const* logits = nullptr;
  for (std::size_t fed = 0, n = plan.first_piece; fed < prompt.size(); fed += n, n = plan.piece) {
    n = std::min(n, prompt.size() - fed);
    logits = run.feed({prompt.data() + fed, n});
    after();
  }
  return logits;
}
inline float const* feed_prompt(session& run, std::vector<std::uint32_t> const& prompt, position_plan const& plan) {
  return feed_prompt(run, prompt, plan, [] {});
}

}  // namespace programs
