#include <common/passkey_task.hpp>

#include <algorithm>
#include <chrono>

namespace programs {

namespace {

std::string answer(loaded_model const& m, session& run, passkey_prompt const& prompt, position_plan const& plan) {
  run.clear();
  float const* logits = feed_prompt(run, prompt.tokens, plan);
  std::uint32_t before = prompt.tokens.back();
  std::string text;
  for (std::size_t i = 0; i < passkey_answer_tokens; ++i) {
    auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
    if (m.text->ends(next)) break;
    text += m.text->piece(before, next);
    text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
    if (text.size() >= prompt.target.size() || i + 1 == passkey_answer_tokens) break;
    logits = run.feed(next);
    before = next;
  }
  return text.substr(0, prompt.target.size());
}

}  // namespace

passkey_set draw_passkeys(loaded_model const& m, std::uint64_t seed, std::uint64_t prompts, std::uint64_t depths,
                          std::uint64_t length) {
  if (prompts < 1) throw usage_error("--prompts is 0; give at least 1");
  if (depths < 1) throw usage_error("--depths is 0; give at least 1");
  passkey_set set;
  set.depths = static_cast<std::size_t>(std::min(depths, prompts));
  passkey_prompts draw(*m.text, seed);
  for (std::size_t i = 0; i < prompts; ++i) {
    double const depth =
        set.depths == 1 ? 0.5 : static_cast<double>(i % set.depths) / static_cast<double>(set.depths - 1);
    set.prompts.push_back(draw.next(depth, static_cast<std::size_t>(length)));
    set.longest = std::max(set.longest, set.prompts.back().tokens.size());
  }
  return set;
}

double passkey_answers::accuracy(passkey_set const& set, std::size_t first, std::size_t step) const {
  std::size_t found = 0, all = 0;
  for (std::size_t i = first; i < set.prompts.size(); i += step, ++all) found += right(i, set) ? 1u : 0u;
  return static_cast<double>(found) / static_cast<double>(all);
}

position_plan plan_passkeys(shared_options const& o, policy_choice const& choice, loaded_model const& m,
                            passkey_set const& set) {
  return plan_positions(o, choice, m, set.tokens() - 1, set.longest);
}

passkey_answers find_passkeys(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                              passkey_set const& set, std::string const& executor,
                              std::function<void()> const& progress) {
  passkey_answers found;
  auto const begin = std::chrono::steady_clock::now();
  session run(m.model, choice, session_of(plan, choice, m, executor, set.tokens()));
  found.memory = run.memory();
  for (passkey_prompt const& prompt : set.prompts) {
    found.answers.push_back(answer(m, run, prompt, plan));
    found.saved += run.saved();
    progress();
  }
  found.saved /= static_cast<double>(set.prompts.size());
  found.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return found;
}

}  // namespace programs
