#pragma once
// How well a model predicts a text under a policy: window by window, each with an empty cache.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <common/fnv1a.hpp>
#include <common/shared_options.hpp>

namespace programs {

// The tokens of all windows, one behind the other, each with a BOS of its own.
struct windowed_text {
  std::vector<std::uint32_t> tokens;
  std::vector<std::size_t> begins;  // of each window in tokens, and the end
  std::size_t longest = 0;

  std::size_t windows() const { return begins.size() - 1; }
  std::size_t fed() const { return tokens.size() - windows(); }  // the last token of a window is only predicted
  std::string fingerprint() const {
    fnv1a sum;
    for (std::uint32_t const token : tokens) sum.add_word(token);
    return sum.hex();
  }
};

// The first `tokens` tokens of a text (0: all) in windows of `window` tokens (0: the model's positions), of which those
// from `from` on count. Throws usage_error.
windowed_text cut_into_windows(loaded_model const& m, std::string const& words, std::uint64_t tokens,
                               std::uint64_t window, std::uint64_t from);

struct prediction {
  std::vector<double> nll;  // [tokens - 1], of token i + 1; NaN where that is the BOS of the next window
  std::size_t scored = 0;   // those that count
  double mean_nll = 0, seconds = 0;
  session_memory memory;
  compression saved;  // mean of the windows, each at its end

  double perplexity() const;
};

// Feeds every window as planned: its first piece at once, then piece by piece. Calls progress(tokens fed since the last call).
prediction predict(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                   windowed_text const& text, std::uint64_t from, std::string const& executor,
                   std::function<void(std::size_t)> const& progress);

}  // namespace programs
