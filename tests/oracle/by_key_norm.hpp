#pragma once

#include <cmath>
#include <cstddef>
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

/// keydiff: of a prompt that is too long the keys whose direction is closest to the sum of all directions go.
class keydiff : public rule {
 public:
  keydiff(int budget, int sinks, int recent) : budget_(budget), sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return budget_; }
  bool grows() const override { return true; }
  bool compares_directions() const override { return true; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    std::vector<double> anchor(slots.at(0).direction.size(), 0.0);
    for (slot const& s : slots)
      for (std::size_t d = 0; d < anchor.size(); ++d) anchor[d] += s.direction[d];
    double length = 0;
    for (double const x : anchor) length += x * x;
    std::vector<candidate> candidates;
    for (slot const& s : outside(slots, sinks_, recent_)) {
      double dot = 0;
      for (std::size_t d = 0; d < anchor.size(); ++d) dot += s.direction[d] * anchor[d];
      candidates.push_back({length > 0 ? -dot / std::sqrt(length) : 0, s.position});
    }
    choice goes = lowest(candidates, count, ties::lowest_stays);
    if (anchor.size() == 1) goes.gap = 0;  // a direction is then a sign: what is equal here differs by rounding in float32
    return goes;
  }
  choice victim(slot_list const&, int) const override { return {}; }

 private:
  int budget_, sinks_, recent_;
};

}  // namespace oracle
