#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <span>
#include <vector>

namespace reference_model {

/// Byte-pair merges: neighbours become one symbol until no pair may, the pair of the lowest cost first and of equal
/// costs the leftmost. Memory is kept from one run to the next. Cost of a run: n log n for n symbols.
template <class Cost>
class pair_merges {
 public:
  /// What is written where a symbol was merged into its left one. No symbol may have this number.
  static constexpr std::uint32_t gone = 0xffffffffu;

  /// What becomes of a pair, and when; merged is `gone` if it stays two.
  struct outcome {
    Cost cost{};
    std::uint32_t merged = gone;
  };

  /// `outcome_of(left, right)` of two symbols. A merge lives where its left symbol was.
  template <class OutcomeOf>
  void run(std::span<std::uint32_t> symbols, OutcomeOf const& outcome_of) {
    // Symbols form a list; a merge stays in its left symbol, so list order is index order, and the queue yields the
    // order of a scan over the whole list.
    std::uint32_t const n = static_cast<std::uint32_t>(symbols.size());
    next_.resize(n);
    previous_.resize(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      next_[i] = i + 1 < n ? i + 1 : gone;
      previous_[i] = i > 0 ? i - 1 : gone;
    }
    auto const consider = [&](std::uint32_t left, std::uint32_t right) {
      if (left == gone || right == gone) return;
      outcome const o = outcome_of(symbols[left], symbols[right]);
      if (o.merged != gone) queue_.push({o.cost, left, right, symbols[left], symbols[right], o.merged});
    };
    for (std::uint32_t i = 0; i + 1 < n; ++i) consider(i, i + 1);
    while (!queue_.empty()) {
      candidate const c = queue_.top();
      queue_.pop();
      // Out of date if one of the two has been merged since.
      if (symbols[c.left] != c.left_symbol || next_[c.left] != c.right || symbols[c.right] != c.right_symbol) continue;
      symbols[c.left] = c.merged;
      symbols[c.right] = gone;
      next_[c.left] = next_[c.right];
      if (next_[c.left] != gone) previous_[next_[c.left]] = c.left;
      consider(previous_[c.left], c.left);
      consider(c.left, next_[c.left]);
    }
  }

 private:
  struct candidate {
    Cost cost;
    std::uint32_t left, right, left_symbol, right_symbol, merged;
    bool operator<(candidate const& o) const { return cost != o.cost ? cost > o.cost : left > o.left; }
  };

  std::vector<std::uint32_t> next_, previous_;
  std::priority_queue<candidate> queue_;
};

}  // namespace reference_model
