#include <common/policy_choice.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <variant>

#include <common/errors.hpp>
#include <common/near_name.hpp>
#include <common/policy_file.hpp>

namespace programs {

namespace {

// The number in `text` if it is digits only and at most 2^31 - 2.
std::optional<std::uint32_t> whole(std::string_view text) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  std::uint64_t value = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = 10 * value + static_cast<std::uint64_t>(c - '0');
  }
  if (value > kvsift::most_slots) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

constexpr named_setting named_settings[] = {
    {"headkv", R"({"policy": "snapkv", "window": 8, "kernel": 7, "pool": "max", "allocator": {"name": "headkv", "beta": 1.01}})"},
    {"cokv", R"({"policy": "snapkv", "window": 8, "kernel": 7, "pool": "max", "allocator": {"name": "cokv", "border": 20}})"},
};
char const* setting_of(std::string const& policy) {
  for (named_setting const& s : named_settings)
    if (policy == s.name) return s.text;
  return nullptr;
}

// "did you mean roco? Or ", or nothing where no name is near.
std::string nearest(std::string const& asked) {
  near_name near(asked);
  for (kvsift::catalogue_entry const& e : kvsift::catalogue) near.look(e.name);
  for (kvsift::catalogue_alias const& a : kvsift::aliases) near.look(a.name);
  for (named_setting const& s : named_settings) near.look(s.name);
  return near.question();
}

void apply(std::string const& set, stated_policy& stated) {
  std::size_t const equals = set.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == set.size())
    throw usage_error("--set is '" + set + "'; give FIELD=VALUE");
  try {
    set_field(stated, set.substr(0, equals), set.substr(equals + 1));
  } catch (kvsift::bad_argument const& wrong) {
    throw usage_error("--set " + set + ": " + wrong.what());
  }
}

// `slots` for everyone who has a budget. Where that is sinks + recent the window gives way, unless --set says it.
void apply_budget(std::uint32_t slots, policy_request const& asked, stated_policy& stated) {
  bool const recent_set = std::any_of(asked.sets.begin(), asked.sets.end(), [](std::string const& s) {
    return s.rfind("recent=", 0) == 0 || s.find(".recent=") != std::string::npos;
  });
  stated.fields.layers.clear();
  for (kvsift::policy_fields* const f : {&stated.fields, stated.prompt ? &*stated.prompt : nullptr, stated.decode ? &*stated.decode : nullptr}) {
    if (f == nullptr) continue;
    bool const own = !f->policy.empty();
    if (own && !kvsift::has_field(kvsift::find_policy(f->policy), "budget")) continue;
    f->set("budget", slots);
    if (!own || !kvsift::budget_is_sum(kvsift::find_policy(f->policy)) || !f->has("recent") || recent_set) continue;
    f->otherwise("sinks", 4u);
    if (slots <= (*f)["sinks"])
      throw usage_error("--budget is " + std::to_string(slots) + "; " + f->policy + " needs more than its " +
                        std::to_string((*f)["sinks"]) + " sinks");
    f->set("recent", slots - (*f)["sinks"]);
  }
}

void apply_seed(std::uint64_t seed, stated_policy& stated) {
  for (kvsift::policy_fields* const f : {&stated.fields, stated.prompt ? &*stated.prompt : nullptr, stated.decode ? &*stated.decode : nullptr})
    if (f != nullptr && !f->policy.empty() && kvsift::has_field(kvsift::find_policy(f->policy), "seed")) f->otherwise("seed", kvsift::field_value(seed));
}

void pin(kvsift::policy_fields& fields, std::string const& text) {
  std::size_t const colon = text.find(':');
  auto const from = whole(text.substr(0, colon));
  auto const to = colon == std::string::npos ? std::nullopt : whole(text.substr(colon + 1));
  if (!from || !to || *to <= *from)
    throw usage_error("--pin is '" + text + "'; give A:B with A below B, for the positions A to B - 1");
  fields.pinned_from = *from;
  fields.pinned = *to - *from;
}

// The moments of --bound. Where only generated tokens are bounded the prompt stays, and the budget is theirs.
void bind(policy_request const& asked, policy_choice& choice) {
  using kvsift::moment;
  std::string const& bound = asked.bound;
  if (bound.empty() || bound == "both" || bound == "auto") return;
  bool const prompt = bound == "prompt" || bound == "encoding";
  if (!prompt && bound != "generated" && bound != "decoding")
    throw usage_error("--bound is '" + bound + "'; give prompt, generated or both (EasyKV's encoding, decoding, auto)");
  if (!choice.bounded()) return;
  kvsift::any_policy& p = choice.made.value;
  moment const kept = prompt ? moment::prompt_end | moment::piece_end
                             : moment::before_append | moment::after_attention | moment::before_piece;
  for (kvsift::any_rule* const rule : {&p.rules.first, &p.rules.rest.first}) rule->when = rule->when & kept;
  if (p.facts().moments == moment{})
    throw usage_error("--bound is '" + bound + "'; " + choice.name + " has no rule for it, give another policy or --bound both");
  if (prompt) return;
  if (!asked.pin.empty()) throw usage_error("--bound is '" + bound + "', under which the whole prompt stays; leave --pin out");
  auto const* const even = std::get_if<kvsift::uniform_budget>(&p.budget.limits());
  if (even == nullptr || p.budget.measured() || choice.allocator.name != "uniform")
    throw usage_error("--bound is '" + bound + "', under which every head keeps the prompt and the same budget; give a policy with one");
  std::uint64_t const slots = std::uint64_t{even->slots} + asked.prompt;
  if (slots > kvsift::most_slots) throw usage_error("the prompt and --budget are " + std::to_string(slots) + " slots; give fewer");
  for (kvsift::any_rule* const rule : {&p.rules.first, &p.rules.rest.first}) {
    rule->guards.pinned_from = 0;
    rule->guards.pinned = static_cast<std::uint32_t>(asked.prompt);
  }
  choice.made.slots = static_cast<std::uint32_t>(slots);
  p.budget = p.budget.with_limits(kvsift::uniform_budget{choice.made.slots});
}

}  // namespace

std::span<named_setting const> settings_with_names() { return named_settings; }

std::uint32_t slots_of(std::string const& budget, std::uint64_t base) {
  if (!budget.empty() && budget.back() == '%') {
    std::string const share = budget.substr(0, budget.size() - 1);
    bool const number = !share.empty() && share.size() <= 8 && share.find_first_not_of("0123456789.") == std::string::npos &&
                        std::count(share.begin(), share.end(), '.') <= 1 && share != ".";
    double const percent = number ? std::stod(share) : 0;
    if (percent <= 0 || percent > 100)
      throw usage_error("--budget is '" + budget + "'; a share lies above 0% and at most at 100%");
    auto const slots = static_cast<std::uint64_t>(std::floor(percent * static_cast<double>(base) / 100 + 1e-9));
    if (slots < 1 || slots > kvsift::most_slots)
      throw usage_error("--budget is '" + budget + "', " + std::to_string(slots) + " slots of " + std::to_string(base) +
                        " tokens; give a share of at least one slot");
    return static_cast<std::uint32_t>(slots);
  }
  auto const slots = whole(budget);
  if (!slots || *slots < 1)
    throw usage_error("--budget is '" + budget + "'; give slots per KV head from 1 to " + std::to_string(kvsift::most_slots) +
                      ", or a share of the tokens such as 25%");
  return *slots;
}

std::string shown_name(std::string const& policy) {
  if (kvsift::is_policy_name(policy)) return kvsift::shown_name(policy);
  std::filesystem::path const file(policy);
  std::string const stem = file.stem().string(), folder = file.parent_path().filename().string();
  return kvsift::is_policy_name(stem) && !folder.empty() ? folder + "/" + stem : stem;
}

bool is_policy_name(std::string const& policy) { return kvsift::is_policy_name(policy) || setting_of(policy) != nullptr; }

policy_choice choose_policy(policy_request const& asked) {
  char const* const setting = setting_of(asked.policy);
  bool const named = kvsift::is_policy_name(asked.policy);
  if (!named && setting == nullptr && asked.text.empty() && !std::filesystem::exists(asked.policy)) {
    bool const path = asked.policy.find_first_of("/.") != std::string::npos;
    throw usage_error("--policy is '" + asked.policy + "'; " +
                      (path ? "there is no such file, and no policy of that name"
                            : nearest(asked.policy) + "give a JSON file or one of " + kvsift::catalogue_names() + ", headkv, cokv"));
  }
  std::string const source = named || setting != nullptr ? "--policy " + asked.policy : asked.policy;
  stated_policy stated;
  if (named) stated.fields.policy = asked.policy;
  else if (setting != nullptr) stated = read_policy(source, reference_model::parse_object(source, setting));
  else stated = read_policy(source, asked.text.empty() ? load_policy_object(asked.policy) : reference_model::parse_object(source, asked.text));
  policy_choice choice;
  try {
    choice.name = shown_name(asked.policy);
    for (std::string const& set : asked.sets) apply(set, stated);
    require_scores(source, stated);
    if (setting != nullptr && asked.budget.empty() && !stated.fields.has("budget"))
      throw usage_error(source + " needs a budget; give --budget N or P%");
    if (!asked.budget.empty()) apply_budget(slots_of(asked.budget, asked.base), asked, stated);
    if (!asked.pin.empty()) pin(stated.fields, asked.pin);
    apply_seed(asked.seed, stated);
    std::uint32_t derived = 0;  // what a bare name derives its defaults from
    if (named) {
      kvsift::catalogue_entry const& entry = kvsift::find_policy(asked.policy);
      bool const enough = !kvsift::has_field(entry, "budget") || stated.fields.has("budget") ||
                          (kvsift::budget_is_sum(entry) && stated.fields.has("recent"));
      if (!enough) throw usage_error("--policy is " + choice.name + ", which needs a budget; give --budget N or P%");
      derived = stated.fields.has("budget") ? stated.fields["budget"] : 1;
    }
    choice.storage = stated.storage;
    choice.made = make_policy(stated, derived);
    choice.allocator = stated.allocator;
    if (choice.allocator.name != "uniform" && !choice.made.bounded)
      throw usage_error(source + ": allocator '" + choice.allocator.name + "' has no budget to divide; give a policy that keeps one");
    bind(asked, choice);
  } catch (kvsift::bad_argument const& wrong) {
    throw usage_error(source + ": " + wrong.what());
  }
  return choice;
}

policy_choice load_policy(std::string const& file) { return load_policy(file, {}); }

policy_choice load_policy(std::string const& file, trace const& given, float const* draws) {
  stated_policy stated = read_policy(file, load_policy_object(file));
  require_scores(file, stated);
  stated.fields.projection = {given.projection.data(), given.projection.size()};
  stated.fields.projection_bits = given.bits;
  if (!given.uniforms.empty()) stated.fields.draws = {draws != nullptr ? draws : given.uniforms.data(), given.tokens, 1, given.kv_heads};
  try {
    return {shown_name(file), stated.storage, make_policy(stated), stated.allocator};
  } catch (kvsift::bad_argument const& wrong) {
    throw bad_file(file, wrong.what());
  }
}

}  // namespace programs
