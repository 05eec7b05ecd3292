#include <common/perplexity_task.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <reference_model/model/metrics.hpp>

namespace programs {

windowed_text cut_into_windows(loaded_model const& m, std::string const& words, std::uint64_t tokens,
                               std::uint64_t window, std::uint64_t from) {
  std::vector<std::uint32_t> text = m.text->encode(words);
  if (tokens != 0 && tokens < text.size()) text.resize(static_cast<std::size_t>(tokens));
  if (text.size() < 2)
    throw usage_error("--tokens is " + std::to_string(tokens) + "; give at least 2, BOS and one to predict");
  if (window == 1) throw usage_error("--window is 1; give at least 2 tokens, BOS and one to predict");
  std::size_t const length = std::min<std::size_t>(window != 0 ? window : m.config().max_positions, text.size());
  if (from < 1 || from >= length)
    throw usage_error("--from is " + std::to_string(from) + "; a window has tokens 1 to " + std::to_string(length - 1) +
                      " to predict");
  windowed_text all;
  for (std::size_t next = 1; next < text.size(); next += length - 1) {
    std::size_t const n = std::min(length - 1, text.size() - next);
    if (n < from) break;  // nothing of it counts
    all.begins.push_back(all.tokens.size());
    all.tokens.push_back(text[0]);
    all.tokens.insert(all.tokens.end(), text.begin() + static_cast<std::ptrdiff_t>(next),
                      text.begin() + static_cast<std::ptrdiff_t>(next + n));
    all.longest = std::max(all.longest, n + 1);
  }
  all.begins.push_back(all.tokens.size());
  return all;
}

double prediction::perplexity() const { return std::exp(mean_nll); }

prediction predict(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                   windowed_text const& text, std::uint64_t from, std::string const& executor,
                   std::function<void(std::size_t)> const& progress) {
  std::uint32_t const vocab = m.config().vocab;
  prediction p;
  auto const begin = std::chrono::steady_clock::now();
  session_options options = session_of(plan, choice, m, executor, text.longest - 1);
  options.every_logits = true;
  session run(m.model, choice, options);
  p.memory = run.memory();
  p.nll.assign(text.tokens.size() - 1, std::numeric_limits<double>::quiet_NaN());
  double sum = 0;
  for (std::size_t w = 0; w < text.windows(); ++w) {
    run.clear();
    std::size_t const first = text.begins[w], fed = text.begins[w + 1] - first - 1;
    for (std::size_t t = 0; t < fed;) {
      std::size_t const n = std::min<std::size_t>(t == 0 ? plan.first_piece : plan.piece, fed - t);
      float const* const logits = run.feed({text.tokens.data() + first + t, n});
      for (std::size_t i = 0; i < n; ++i, ++t) {
        double const nll =
            reference_model::negative_log_likelihood(logits + i * vocab, vocab, text.tokens[first + t + 1]);
        p.nll[first + t] = nll;
        if (t + 1 < from) continue;
        sum += nll;
        ++p.scored;
      }
      progress(n);
    }
    p.saved += run.saved();
  }
  p.saved /= static_cast<double>(text.windows());
  p.mean_nll = sum / static_cast<double>(p.scored);
  p.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return p;
}

}  // namespace programs
