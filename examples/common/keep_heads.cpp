#include <common/keep_heads.hpp>

#include <string>
#include <utility>
#include <vector>

#include <common/errors.hpp>
#include <kvsift/budget/heads.hpp>

namespace programs {

policy_choice keep_heads(coalition const& members, head_window const& window) {
  if (window.recent < 1) throw usage_error("--recent is 0; a head that keeps nothing else keeps at least 1 token");
  policy_choice choice =
      choose_policy({.policy = "streaming_llm",
                     .sets = {"sinks=" + std::to_string(window.sinks), "recent=" + std::to_string(window.recent)},
                     .bound = "prompt"});
  std::vector<std::uint32_t> slots;
  for (bool const member : members) slots.push_back(member ? kvsift::no_limit : window.sinks + window.recent);
  choice.name = "keep_heads";
  choice.made.value.budget = choice.made.value.budget.with_limits(kvsift::head_budgets{std::move(slots)});
  choice.made.bounded = false;  // a member has no limit, and the others grow with what is generated
  choice.made.slots = 0;
  return choice;
}

}  // namespace programs
