#pragma once

#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

/// full: nothing ever goes.
class full : public rule {
 public:
  int limit(int tokens) const override { return tokens; }
  choice cut(slot_list const&, attention_map const&, int) const override { return {}; }
  choice victim(slot_list const&, int) const override { return {}; }
};

/// streaming_llm: the first `sinks` positions and the newest `recent` slots stay.
class streaming_llm : public rule {
 public:
  streaming_llm(int sinks, int recent) : sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return sinks_ + recent_; }
  choice cut(slot_list const& slots, attention_map const&, int) const override {
    choice result;
    for (slot const& s : outside(slots, sinks_, recent_)) result.positions.push_back(s.position);
    return result;
  }
  choice victim(slot_list const& slots, int) const override {
    return {{outside(slots, sinks_, recent_).at(0).position}, no_gap};
  }

 private:
  int sinks_, recent_;
};

/// recent_global: the oldest position >= sinks makes room.
class recent_global : public rule {
 public:
  recent_global(int budget, int sinks) : budget_(budget), sinks_(sinks) {}

  int limit(int) const override { return budget_; }
  bool makes_room_first() const override { return true; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    choice result;
    for (slot const& s : slots) {
      if (s.position >= sinks_ && static_cast<int>(result.positions.size()) < count) {
        result.positions.push_back(s.position);
      }
    }
    return result;
  }
  choice victim(slot_list const& slots, int token) const override {
    return {{older_than(slots, sinks_, token, 0).at(0).position}, no_gap};
  }

 private:
  int budget_, sinks_;
};

/// keep_it_odd: even positions go first, the oldest before the newer, then odd ones.
class keep_it_odd : public rule {
 public:
  keep_it_odd(int budget, int sinks, int recent) : budget_(budget), sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return budget_; }
  bool makes_room_first() const override { return true; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    return oldest_even_first(outside(slots, sinks_, recent_), count);
  }
  choice victim(slot_list const& slots, int token) const override {
    return oldest_even_first(older_than(slots, sinks_, token, recent_), 1);
  }

 private:
  static choice oldest_even_first(std::vector<slot> const& slots, int count) {
    std::vector<candidate> candidates;
    for (slot const& s : slots) candidates.push_back({s.position % 2 == 0 ? 0.0 : 1.0, s.position});
    choice result = lowest(candidates, count, ties::lowest_goes);
    result.gap = no_gap;  // whole numbers
    return result;
  }

  int budget_, sinks_, recent_;
};

}  // namespace oracle
