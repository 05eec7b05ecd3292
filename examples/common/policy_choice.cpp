#include <common/policy_choice.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <utility>

#include <common/errors.hpp>
#include <common/policy_file.hpp>

namespace programs {

namespace {

using kvsift::most_slots;

// The number in `text` if it is digits only and at most 2^31 - 2.
std::optional<std::uint32_t> whole(std::string_view text) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  std::uint64_t value = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = 10 * value + static_cast<std::uint64_t>(c - '0');
  }
  if (value > most_slots) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

bool in_catalogue(std::string const& name) {
  return std::any_of(std::begin(kvsift::catalogue), std::end(kvsift::catalogue), [&](kvsift::catalogue_entry const& e) {
    return name == e.name || (*e.alias != '\0' && name == e.alias);
  });
}

// FIELD=VALUE of --set, in its two parts.
std::pair<std::string, std::string> split_set(std::string const& set) {
  std::size_t const equals = set.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == set.size())
    throw usage_error("--set is '" + set + "'; give FIELD=VALUE");
  if (set.substr(0, equals) == "policy") throw usage_error("--set is '" + set + "'; choose the policy with --policy");
  return {set.substr(0, equals), set.substr(equals + 1)};
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

// The policies that are stated: one, or one for each phase.
std::vector<kvsift::policy_fields*> policies_of(stated_policy& stated) {
  std::vector<kvsift::policy_fields*> all;
  if (!stated.fields.policy.empty()) all.push_back(&stated.fields);
  for (auto* const phase : {&stated.prompt, &stated.decode})
    if (*phase) all.push_back(&**phase);
  return all;
}

// --budget overrides every budget of a file. Where the budget is a sum of parts (streaming_llm) the recent window gives way,
// unless --set states it.
void state_budget(stated_policy& stated, std::uint32_t slots, std::vector<std::string> const& sets) {
  bool const recent_set = std::any_of(sets.begin(), sets.end(), [](std::string const& s) { return s.rfind("recent=", 0) == 0; });
  for (kvsift::policy_fields* const own : policies_of(stated)) {
    kvsift::catalogue_entry const& entry = kvsift::find_policy(own->policy);
    if (!kvsift::has_field(entry, "budget")) continue;
    own->set("budget", slots);
    if (kvsift::requires_field(entry, "budget") || recent_set) continue;
    own->forget("recent");
    entry.derive(*own, slots);
  }
}

}  // namespace

std::uint32_t slots_of(std::string const& budget, std::uint64_t base) {
  if (!budget.empty() && budget.back() == '%') {
    std::string const share = budget.substr(0, budget.size() - 1);
    bool const number = !share.empty() && share.size() <= 8 && share.find_first_not_of("0123456789.") == std::string::npos &&
                        std::count(share.begin(), share.end(), '.') <= 1 && share != ".";
    double const percent = number ? std::stod(share) : 0;
    if (percent <= 0 || percent > 100)
      throw usage_error("--budget is '" + budget + "'; a share lies above 0% and at most at 100%");
    auto const slots = static_cast<std::uint64_t>(std::floor(percent * static_cast<double>(base) / 100 + 1e-9));
    if (slots < 1 || slots > most_slots)
      throw usage_error("--budget is '" + budget + "', " + std::to_string(slots) + " slots of " + std::to_string(base) +
                        " tokens; give a share of at least one slot");
    return static_cast<std::uint32_t>(slots);
  }
  auto const slots = whole(budget);
  if (!slots || *slots < 1)
    throw usage_error("--budget is '" + budget + "'; give slots per KV head from 1 to " + std::to_string(most_slots) +
                      ", or a share of the tokens such as 25%");
  return *slots;
}

policy_choice choose_policy(policy_request const& asked) {
  bool const named = in_catalogue(asked.policy);
  if (!named && !std::filesystem::exists(asked.policy)) {
    bool const path = asked.policy.find_first_of("/.") != std::string::npos;
    throw usage_error("--policy is '" + asked.policy + "'; " +
                      (path ? "there is no such file, and no policy of that name"
                            : "give a JSON file or one of " + kvsift::catalogue_names()));
  }
  std::string const source = named ? "--policy " + asked.policy : asked.policy;
  stated_policy stated = read_policy(source, named ? json{{"policy", asked.policy}} : load_policy_object(asked.policy));
  policy_choice choice;
  try {
    for (std::string const& set : asked.sets) {
      auto const [field, value] = split_set(set);
      set_field(stated, field, value);
    }
    kvsift::policy_fields& fields = stated.fields;
    choice.name = named ? kvsift::find_policy(fields.policy).name : std::filesystem::path(asked.policy).stem().string();
    if (!asked.budget.empty()) state_budget(stated, slots_of(asked.budget, asked.base), asked.sets);
    if (!asked.pin.empty()) pin(fields, asked.pin);
    for (kvsift::policy_fields* const own : policies_of(stated))
      if (kvsift::has_field(kvsift::find_policy(own->policy), "seed")) own->otherwise("seed", asked.seed);
    std::uint32_t budget = 0;
    if (named) {  // the rest follows from the budget, as in the original
      bool const sum_of_parts = fields.policy == "full" || (fields.has("recent") && !kvsift::requires_field(kvsift::find_policy(fields.policy), "budget"));
      if (!fields.has("budget") && !sum_of_parts)
        throw usage_error("--policy is " + choice.name + ", which needs a budget; give --budget N or P%");
      budget = fields.has("budget") ? fields["budget"] : 1;
    }
    choice.made = make_policy(stated, budget);
  } catch (kvsift::bad_argument const& wrong) {
    throw usage_error(source + ": " + wrong.what());
  }
  choice.storage = stated.storage;
  return choice;
}

}  // namespace programs
