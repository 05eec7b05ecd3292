#pragma once
// Which policy a run uses: a name or a file, with what the command line says about it.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <common/allocator.hpp>
#include <common/trace_file.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace programs {

// What the command line says of one policy.
struct policy_request {
  std::string policy = "full";    // a name, an alias, or a JSON file
  std::vector<std::string> sets{};  // FIELD=VALUE, each overrides the file
  std::string budget{};           // N or P%, overrides the file; "" when not given
  std::string pin{};              // A:B, positions A to B - 1 stay; "" when not given
  std::uint64_t seed = 1;         // of policies that draw, unless the file or a set says otherwise
  std::uint64_t base = 0;         // the tokens that P% refers to
  std::string bound{};            // prompt, generated or both (""), or EasyKV's encoding, decoding and auto
  std::uint64_t prompt = 0;       // tokens of the prompt, which stay when only generated ones are bounded
  std::string text{};             // what the JSON file `policy` held, if it was read before
};

struct policy_choice {
  std::string name;              // for tables: shown_name
  std::string storage = "fp32";  // how K and V are stored: see storage.hpp
  kvsift::catalogue_policy made{};  // every head alike
  allocator_request allocator{};    // how a session divides it
  std::string asked{};              // the name, alias or file on the command line
  std::string positions{};          // one of --positions, or what the mode asked for says of it; "": nothing

  bool bounded() const { return made.bounded && allocator.name != "duo_attention"; }
  std::uint32_t slots() const { return made.slots; }  // per KV head; 0 if not bounded
  // Slots per KV head that `tokens` need of which the first `prompt` arrive as one piece, the newest token's among them.
  std::uint64_t needed(std::uint64_t prompt, std::uint64_t tokens) const {
    if (!bounded()) return tokens;
    std::uint64_t const piece = made.value.facts().stride;
    return made.slots + std::max(piece, made.grows() ? tokens - std::min(prompt, tokens) : 1);
  }
};

// Slots of "N", or of "P%" of `base`, rounded down. Throws usage_error for anything but 1 slot to 2^31 - 2.
std::uint32_t slots_of(std::string const& budget, std::uint64_t base);

// A setting of an original that takes an allocator: its name, and what a policy file would state.
struct named_setting {
  char const* name;
  char const* text;
};
std::span<named_setting const> settings_with_names();  // headkv and cokv, CoKV's settings with an allocator by head scores

// Whether `policy` names one, not a file: of the catalogue, or a setting.
bool is_policy_name(std::string const& policy);

// What tables call a policy that is asked for by name or file: its name; of a file the name without .json, and with its folder where
// a policy has that name too.
std::string shown_name(std::string const& policy);

// The policy that is asked for. A bare name takes the defaults of the originals for its budget; a file states every field
// that its policy requires. Throws usage_error, bad_file or bad_argument: one line that names argument or field.
policy_choice choose_policy(policy_request const& asked);

// The policy that a file states in full, with the projection and the draws that a trace brings, if any: others come from the
// seed. `given` must live as long as the policy. Throws bad_file.
policy_choice load_policy(std::string const& file, trace const& given, float const* draws = nullptr);
policy_choice load_policy(std::string const& file);

}  // namespace programs
