#include <common/policy_choice.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>

#include <common/errors.hpp>
#include <common/policy_file.hpp>

namespace programs {

namespace {

constexpr std::uint64_t most_slots = 0x7ffffffe;

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
  for (kvsift::catalogue_entry const& e : kvsift::catalogue)
    if (name == e.name || (*e.alias != '\0' && name == e.alias)) return true;
  return false;
}

// Puts FIELD=VALUE into a policy object, after asking the grammar about it alone, so that a message names the argument.
void override_field(json& object, std::string const& set) {
  std::size_t const equals = set.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == set.size())
    throw usage_error("--set is '" + set + "'; give FIELD=VALUE");
  std::string const field = set.substr(0, equals), text = set.substr(equals + 1);
  if (field == "policy") throw usage_error("--set is '" + set + "'; choose the policy with --policy");
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) value = text;
  read_policy("--set " + set, {{"policy", "full"}, {field, value}});
  object[field] = std::move(value);
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
  json object = named ? json{{"policy", asked.policy}} : load_policy_object(asked.policy);
  for (std::string const& set : asked.sets) override_field(object, set);
  stated_policy stated = read_policy(source, object);
  kvsift::policy_fields& fields = stated.fields;

  policy_choice choice;
  choice.storage = stated.storage;
  try {
    kvsift::catalogue_entry const& entry = kvsift::find_policy(fields.policy);
    std::string const name = entry.name;
    choice.name = named ? name : std::filesystem::path(asked.policy).stem().string();
    if (!asked.budget.empty() && name != "full") {
      fields.budget = slots_of(asked.budget, asked.base);
      bool const recent_set = std::any_of(asked.sets.begin(), asked.sets.end(),
                                          [](std::string const& s) { return s.rfind("recent=", 0) == 0; });
      if (name == "streaming_llm" && !recent_set) {  // its budget is sinks + recent: the window gives way
        fields.recent.reset();
        fields = kvsift::with_defaults(fields, *fields.budget);
      }
    }
    if (!asked.pin.empty()) pin(fields, asked.pin);
    if (!fields.seed && std::string_view(entry.optional).find("seed") != std::string_view::npos) fields.seed = asked.seed;
    if (named) {
      bool const enough = fields.budget || name == "full" || (name == "streaming_llm" && fields.recent);
      if (!enough) throw usage_error("--policy is " + name + ", which needs a budget; give --budget N or P%");
      fields = kvsift::with_defaults(fields, fields.budget.value_or(0));
    }
    choice.made = kvsift::make_policy(fields);
  } catch (kvsift::bad_argument const& wrong) {
    throw usage_error(source + ": " + wrong.what());
  }
  return choice;
}

}  // namespace programs
