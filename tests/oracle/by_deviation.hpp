#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/by_attention.hpp>
#include <oracle/rule.hpp>

namespace oracle {

/// forced: as published. The newest slots and the sinks rank as if they deviated by 1e9, and are counted among the `excluded`.
enum class scope_profile { fixed, forced };

/// roco and deviation_scope: of the slots outside the sinks and the newest `newest`, the `excluded` largest standard
/// deviations stay; of the rest the lowest mean (or sum) goes.
class deviation_scope : public rule {
 public:
  deviation_scope(score kind, int budget, int sinks, int newest, int excluded, scope_profile profile = scope_profile::fixed)
      : kind_(kind), budget_(budget), sinks_(sinks), newest_(newest), excluded_(excluded), profile_(profile) {}

  int limit(int) const override { return budget_; }

  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    std::vector<slot> left = profile_ == scope_profile::fixed ? outside(slots, sinks_, newest_) : slots;
    bool const some = newest_ > 0 && static_cast<int>(slots.size()) > newest_;
    int const newest_from = some ? slots[slots.size() - static_cast<std::size_t>(newest_)].position : 0;
    auto const ranked = [&](slot const& s) {
      bool const forced = profile_ == scope_profile::forced && (s.position < sinks_ || (newest_ > 0 && s.position >= newest_from));
      return forced ? 1e9 : deviation(s);
    };
    std::sort(left.begin(), left.end(), [&](slot const& a, slot const& b) {
      double const x = ranked(a), y = ranked(b);
      return x != y ? x > y : a.position > b.position;
    });
    std::size_t const excluded = std::min(left.size(), static_cast<std::size_t>(excluded_));
    double gap = no_gap;
    if (excluded > 0 && excluded < left.size() && ranked(left[excluded - 1]) < 1e8) gap = deviation_gap(left[excluded - 1], left[excluded]);

    std::vector<candidate> candidates;
    for (std::size_t i = excluded; i < left.size(); ++i) {
      candidates.push_back({kind_ == score::mean ? left[i].sum / left[i].rows : left[i].sum, left[i].position});
    }
    choice result = lowest(candidates, count, ties::lowest_goes);
    result.gap = std::fmin(result.gap, gap);
    return result;
  }
  choice victim(slot_list const& slots, int) const override { return cut(slots, {}, 1); }

 private:
  static double variance(slot const& s) {
    double const mean = s.sum / s.rows;
    return std::fmax(0.0, s.squares / s.rows - mean * mean);
  }
  static double deviation(slot const& s) { return std::sqrt(variance(s)); }

  /// A variance is a difference of the mean square and the squared mean, so its rounding error is relative to those.
  static double deviation_gap(slot const& a, slot const& b) {
    if (deviation(a) == deviation(b)) return no_gap;
    return std::fabs(variance(a) - variance(b)) / std::fmax(a.squares / a.rows, b.squares / b.rows);
  }

  score kind_;
  int budget_, sinks_, newest_, excluded_;
  scope_profile profile_;
};

}  // namespace oracle
