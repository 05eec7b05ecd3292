// Input: a policy file. What is read becomes a policy, as stated and with the defaults of several budgets.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <common/policy_json.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  try {
    auto const stated = programs::read_policy("policy.json", reference_model::parse_object("policy.json", text));
    for (std::uint32_t budget : {0u, 1u, 16u, 0x7ffffffeu}) {
      try {
        programs::make_policy(stated, budget);
      } catch (kvsift::bad_argument const&) {
      }
    }
  } catch (reference_model::bad_file const&) {
  }
  return 0;
}
