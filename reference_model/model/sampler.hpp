#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/random.hpp>

namespace reference_model {

/// How the next token is chosen. Each filter sees what the one before it left: forbidden tokens and repeated n-grams,
/// then top-k, then top-p. The defaults filter nothing and take the most likely token.
struct sampling {
  double temperature = 0;             ///< 0: the most likely token; else p is proportional to exp(logit / temperature)
  std::uint32_t top_k = 0;            ///< of the k most likely tokens; 0: of all
  double top_p = 1;                   ///< of the fewest most likely tokens whose probabilities reach p; 1: of all
  std::uint32_t no_repeat_ngram = 0;  ///< no n tokens in a row that stood in the text before; 0: they may
  std::uint64_t seed = 0;
};

/// Draws tokens from logits. Of equal logits the lower token counts as more likely. Draw i depends on the seed, on i and
/// on the logits alone. Memory is taken by the constructor; next allocates nothing.
class sampler {
 public:
  /// Throws bad_argument for a temperature below 0, or a top_p outside (0, 1].
  sampler(sampling const& how, std::uint32_t vocab) : how_(how), draw_{how.seed}, forbidden_(vocab), repeats_(vocab) {
    kvsift::require(how.temperature >= 0 && std::isfinite(how.temperature), "temperature", how.temperature, "give 0 (greedy) or more");
    kvsift::require(how.top_p > 0 && how.top_p <= 1, "top_p", how.top_p, "give more than 0 and at most 1");
    candidates_.reserve(vocab);
  }

  /// This token is never drawn, unless every token is forbidden or repeats.
  void forbid(std::uint32_t token) { forbidden_.at(token) = 1; }

  /// The token that follows `text`. logits [vocab]. Cost: one pass over the vocabulary, a sort of what top_k leaves, and
  /// one pass over the text if n-grams may not repeat.
  std::uint32_t next(float const* logits, std::span<std::uint32_t const> text) {
    mark_repeats(text, 1);
    gather(logits);
    mark_repeats(text, 0);
    std::uint64_t const turn = turn_++;
    if (how_.temperature == 0) return std::min_element(candidates_.begin(), candidates_.end(), more_likely)->token;
    sort_top_k();
    weigh();
    std::size_t const kept = count_top_p();
    double sum = 0;
    for (std::size_t i = 0; i < kept; ++i) sum += candidates_[i].weight;
    double rest = sum * static_cast<double>(draw_.uniform(static_cast<std::uint32_t>(turn >> 32), static_cast<std::uint32_t>(turn)));
    for (std::size_t i = 0; i + 1 < kept; ++i) {
      rest -= candidates_[i].weight;
      if (rest < 0) return candidates_[i].token;
    }
    return candidates_[kept - 1].token;
  }

 private:
  struct candidate {
    float logit;
    std::uint32_t token;
    double weight;
  };
  static bool more_likely(candidate const& a, candidate const& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }

  // Tokens that would complete an n-gram of the text, marked or unmarked.
  void mark_repeats(std::span<std::uint32_t const> text, char mark) {
    std::size_t const n = how_.no_repeat_ngram;
    if (n == 0 || text.size() < n) return;
    auto const last = text.last(n - 1);
    for (std::size_t i = 0; i + n <= text.size(); ++i)
      if (std::equal(last.begin(), last.end(), text.begin() + static_cast<std::ptrdiff_t>(i))) repeats_.at(text[i + n - 1]) = mark;
  }

  void gather(float const* logits) {
    auto const vocab = static_cast<std::uint32_t>(forbidden_.size());
    candidates_.clear();
    for (std::uint32_t t = 0; t < vocab; ++t)
      if (forbidden_[t] == 0 && repeats_[t] == 0) candidates_.push_back({logits[t], t, 0});
    if (!candidates_.empty()) return;
    for (std::uint32_t t = 0; t < vocab; ++t) candidates_.push_back({logits[t], t, 0});
  }

  void sort_top_k() {
    if (how_.top_k != 0 && how_.top_k < candidates_.size()) {
      auto const end = candidates_.begin() + static_cast<std::ptrdiff_t>(how_.top_k);
      std::nth_element(candidates_.begin(), end - 1, candidates_.end(), more_likely);
      candidates_.erase(end, candidates_.end());
    }
    std::sort(candidates_.begin(), candidates_.end(), more_likely);
  }

  void weigh() {
    double const highest = candidates_.front().logit;
    for (candidate& c : candidates_) c.weight = std::exp((static_cast<double>(c.logit) - highest) / how_.temperature);
  }

  std::size_t count_top_p() const {
    if (how_.top_p >= 1) return candidates_.size();
    double sum = 0, reached = 0;
    for (candidate const& c : candidates_) sum += c.weight;
    std::size_t kept = 0;
    while (kept < candidates_.size() && reached < how_.top_p * sum) reached += candidates_[kept++].weight;
    return kept;
  }

  sampling how_;
  kvsift::counter_random draw_;
  std::uint64_t turn_ = 0;
  std::vector<char> forbidden_, repeats_;  // [vocab]
  std::vector<candidate> candidates_;
};

}  // namespace reference_model
