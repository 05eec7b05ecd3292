#pragma once

#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

/// strided: another rule, asked after every piece of a long prompt for as many slots as the piece has tokens.
/// silent: pieces that evict nothing are not observed.
class strided : public rule {
 public:
  strided(std::unique_ptr<rule> inner, int stride, bool silent = false)
      : inner_(std::move(inner)), stride_(stride), silent_(silent) {}

  int limit(int tokens) const override { return inner_->limit(tokens); }
  int stride() const override { return stride_; }
  bool silent() const override { return silent_; }
  choice cut(slot_list const& slots, attention_map const& map, int count) const override {
    return inner_->cut(slots, map, count);
  }
  choice victim(slot_list const& slots, int token) const override { return inner_->victim(slots, token); }

 private:
  std::unique_ptr<rule> inner_;
  int stride_;
  bool silent_;
};

/// reservoir: the first `sinks` slots are the start part. Of sinks + recent + 1 slots the oldest behind it is the
/// candidate; it goes if the draw lies above its newest attention, and otherwise the least attended of the start part
/// does.
class reservoir : public rule {
 public:
  reservoir(int sinks, int recent) : sinks_(sinks), recent_(recent) {}

  int limit(int) const override { return sinks_ + recent_; }
  int stride() const override { return 1; }
  bool draws() const override { return true; }
  choice drawn(slot_list const& slots, double draw) const override {
    slot const& candidate = slots.at(static_cast<std::size_t>(sinks_));
    double const gap = relative_gap(draw, candidate.last);
    if (draw > candidate.last) return {{candidate.position}, gap};
    std::vector<oracle::candidate> start;
    for (int i = 0; i < sinks_; ++i)
      start.push_back({slots[static_cast<std::size_t>(i)].last, slots[static_cast<std::size_t>(i)].position});
    choice result = lowest(start, 1, ties::lowest_goes);
    result.gap = std::fmin(result.gap, gap);
    return result;
  }
  choice cut(slot_list const&, attention_map const&, int) const override {
    throw std::logic_error("oracle: reservoir draws");
  }
  choice victim(slot_list const&, int) const override { throw std::logic_error("oracle: reservoir draws"); }

 private:
  int sinks_, recent_;
};

}  // namespace oracle
