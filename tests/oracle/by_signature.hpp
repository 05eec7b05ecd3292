#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/rule.hpp>
#include <oracle/trace.hpp>

namespace oracle {

/// Signs of the projections of a vector, and how far the closest of them is from flipping (cosine; exact zeros do not count).
struct sign_code {
  std::vector<int> bits;
  double margin = no_gap;
};

/// Bit b is 1 iff x . projection[:, b] >= 0.
inline sign_code signs_of(trace const& t, std::vector<double> const& x) {
  sign_code code;
  for (int b = 0; b < t.bits; ++b) {
    double dot = 0, of_x = 0, of_direction = 0;
    for (int d = 0; d < t.dim; ++d) {
      double const a = x[static_cast<std::size_t>(d)];
      double const p = static_cast<double>(t.projection[static_cast<std::size_t>(d * t.bits + b)]);
      dot += a * p;
      of_x += a * a;
      of_direction += p * p;
    }
    code.bits.push_back(dot >= 0 ? 1 : 0);
    if (dot != 0) code.margin = std::fmin(code.margin, std::fabs(dot) / std::sqrt(of_x * of_direction));
  }
  return code;
}

inline sign_code signs_of_key(trace const& t, int token, int h) {
  std::vector<double> key;
  for (int d = 0; d < t.dim; ++d) key.push_back(static_cast<double>(t.key(token, h)[d]));
  return signs_of(t, key);
}

/// Of the mean query of the group of KV head h.
inline sign_code signs_of_queries(trace const& t, int token, int h) {
  std::vector<double> mean(static_cast<std::size_t>(t.dim), 0.0);
  for (int q = h * t.group(); q < (h + 1) * t.group(); ++q) {
    for (int d = 0; d < t.dim; ++d) mean[static_cast<std::size_t>(d)] += static_cast<double>(t.query(token, q)[d]) / t.group();
  }
  return signs_of(t, mean);
}

/// lsh: the key whose code differs in most bits from that of the arriving key, or of its group's mean query, makes room.
class lsh : public rule {
 public:
  lsh(int budget, int sinks, int recent, bool by_query) : budget_(budget), sinks_(sinks), recent_(recent), by_query_(by_query) {}

  int limit(int) const override { return budget_; }
  bool makes_room_first() const override { return true; }
  bool compares_codes() const override { return true; }
  choice cut(slot_list const& slots, attention_map const&, int count) const override {
    choice result;
    for (slot const& s : slots) {
      if (s.position >= sinks_ && static_cast<int>(result.positions.size()) < count) result.positions.push_back(s.position);
    }
    return result;
  }
  choice victim(slot_list const&, int) const override { return {}; }  // needs the newcomer
  choice room_for(slot_list const& slots, int token, newcomer const& arriving) const override {
    std::vector<int> const& code = by_query_ ? arriving.query_code : arriving.key_code;
    std::vector<candidate> candidates;
    for (slot const& s : older_than(slots, sinks_, token, recent_)) {
      int distance = 0;
      for (std::size_t b = 0; b < code.size(); ++b) distance += code[b] != s.code[b] ? 1 : 0;
      candidates.push_back({static_cast<double>(-distance), s.position});
    }
    choice result = lowest(candidates, 1, ties::lowest_goes);
    result.gap = no_gap;  // whole numbers
    return result;
  }

 private:
  int budget_, sinks_, recent_;
  bool by_query_;
};

}  // namespace oracle
