#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

/// heavy_hitter: the lowest mean of a slot's observations makes room. The prompt is one observation, each decode row
/// another. `history` > 1 counts only the newest so many. With `threshold` an observation is whether it reached 1/held.
class heavy_hitter : public rule {
 public:
  heavy_hitter(int budget, int sinks, int recent, int history, bool threshold)
      : budget_(budget), sinks_(sinks), recent_(recent), history_(history), threshold_(threshold) {}

  int limit(int) const override { return budget_; }
  bool makes_room_first() const override { return true; }

  /// The last o = min(16, budget - sinks) queries vote, and stay themselves.
  choice cut(slot_list const& slots, attention_map const& map, int count) const override {
    int const n = static_cast<int>(map.size());
    int const voters = std::min(16, budget_ - sinks_);
    std::vector<double> mean(map.size(), 0.0);
    for (int i = n - voters; i < n; ++i) {
      for (int j = 0; j <= i; ++j) mean[index(j)] += map[index(i)][index(j)] / voters;
    }
    std::vector<candidate> candidates;
    for (slot const& s : outside(slots, sinks_, voters)) {
      double pooled = 0;
      int neighbours = 0;
      for (int j = std::max(0, s.position - 2); j <= std::min(n - 1, s.position + 2); ++j) {
        pooled += mean[index(j)];
        ++neighbours;
      }
      candidates.push_back({pooled / neighbours, s.position});
    }
    return lowest(candidates, count, ties::lowest_stays);
  }

  choice victim(slot_list const& slots, int token) const override {
    std::vector<candidate> candidates;
    for (slot const& s : older_than(slots, sinks_, token, recent_)) candidates.push_back({mean_of(s), s.position});
    choice result = lowest(candidates, 1, ties::lowest_goes);
    if (threshold_) result.gap = no_gap;  // ratios of small whole numbers: equal ones divide to the same double
    return result;
  }

  double observe_kept(slot_list& slots, attention_map const& map) const override {
    int const n = static_cast<int>(map.size());
    double gap = no_gap;
    for (slot& s : slots) {
      double received = 0;
      for (int i = s.position; i < n; ++i) received += map[index(i)][index(s.position)];
      gap = std::fmin(gap, take(s, received / (n - s.position), slots.size()));
    }
    return gap;
  }

  double observe(slot_list& slots, std::vector<double> const& row) const override {
    double gap = no_gap;
    for (std::size_t i = 0; i < slots.size(); ++i) gap = std::fmin(gap, take(slots[i], row[i], slots.size()));
    return gap;
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  double take(slot& s, double x, std::size_t held) const {
    if (!threshold_) {
      s.observations.push_back(x);
      return no_gap;
    }
    double const even_share = 1.0 / static_cast<double>(held);
    s.observations.push_back(x >= even_share ? 1.0 : 0.0);
    return relative_gap(x, even_share);
  }

  double mean_of(slot const& s) const {
    std::size_t const all = s.observations.size();
    std::size_t const counted = history_ == 1 ? all : std::min(all, index(history_));
    double sum = 0;
    for (std::size_t i = all - counted; i < all; ++i) sum += s.observations[i];
    return sum / static_cast<double>(counted);
  }

  int budget_, sinks_, recent_, history_;
  bool threshold_;
};

}  // namespace oracle
