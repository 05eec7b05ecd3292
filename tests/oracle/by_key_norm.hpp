#pragma once

#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

/// key_norm: the largest L2 norm of a key makes room. The prompt cut ranks what stays, so there ties keep the lowest.
class key_norm : public rule {
 public:
  key_norm(int budget, int sinks, int recent) : budget_(budget), sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return budget_; }
  bool makes_room_first() const override { return true; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    return largest(outside(slots, sinks_, recent_), count, ties::lowest_stays);
  }
  choice victim(slot_list const& slots, int token) const override {
    return largest(older_than(slots, sinks_, token, recent_), 1, ties::lowest_goes);
  }

 private:
  static choice largest(std::vector<slot> const& slots, int count, ties tie) {
    std::vector<candidate> candidates;
    for (slot const& s : slots) candidates.push_back({-s.key_norm, s.position});
    return lowest(candidates, count, tie);
  }

  int budget_, sinks_, recent_;
};

}  // namespace oracle
