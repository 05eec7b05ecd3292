// Input: a policy file. What is read becomes a policy, as stated and with the defaults of a budget.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <common/policy_json.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  try {
    programs::stated_policy const stated = programs::read_policy("policy.json", reference_model::parse_object("policy.json", text));
    for (std::uint32_t budget : {1u, 16u, 0x7ffffffeu}) {
      try {
        kvsift::make_policy(kvsift::with_defaults(stated.fields, budget));
      } catch (kvsift::bad_argument const&) {
      }
    }
    kvsift::make_policy(stated.fields);
  } catch (reference_model::bad_file const&) {
  } catch (kvsift::bad_argument const&) {
  }
  return 0;
}
