#pragma once

#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

enum class score { accumulated, mean };

/// accumulated_attention and mean_attention: the lowest sum (or sum / rows) outside the sinks and the newest `recent`.
class column_attention : public rule {
 public:
  column_attention(score kind, int budget, int sinks, int recent)
      : kind_(kind), budget_(budget), sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return budget_; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    std::vector<candidate> candidates;
    for (slot const& s : outside(slots, sinks_, recent_)) {
      candidates.push_back({kind_ == score::mean ? s.sum / s.rows : s.sum, s.position});
    }
    return lowest(candidates, count, ties::lowest_goes);
  }
  choice victim(slot_list const& slots, int) const override { return cut(slots, {}, 1); }

 private:
  score kind_;
  int budget_, sinks_, recent_;
};

/// tova: the lowest weight of the newest query; the newest token and the sinks stay.
class tova : public rule {
 public:
  tova(int budget, int sinks, bool shared) : budget_(budget), sinks_(sinks), shared_(shared) {}

  int limit(int) const override { return budget_; }
  bool rows_are_shared() const override { return shared_; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    std::vector<candidate> candidates;
    for (slot const& s : outside(slots, sinks_, 1)) candidates.push_back({s.last, s.position});
    return lowest(candidates, count, ties::lowest_goes);
  }
  choice victim(slot_list const& slots, int) const override { return cut(slots, {}, 1); }

 private:
  int budget_, sinks_;
  bool shared_;
};

}  // namespace oracle
