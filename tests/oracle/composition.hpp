#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/attention.hpp>
#include <oracle/by_signature.hpp>
#include <oracle/rule.hpp>
#include <oracle/trace.hpp>

/// Any policy that is made of parts, from what the parts mean: scores, guards, one ranked scope, moments, units. Plain
/// double loops that share nothing with include/, nor with the oracles of the named policies but attention and codes.
namespace oracle {

enum class measure { oldest, even, accumulated, mean, newest_query, observed, key_norm, distance };

/// One rule. Of the slots outside the guards the `excluded` of largest variance stay; of the rest the lowest go.
struct composed_rule {
  measure score = measure::oldest;
  int sinks = 0, newest = 0, pinned_from = 0, pinned = 0;
  int excluded = 0;
  ties tie = ties::lowest_goes;

  int guarded() const { return sinks + newest + pinned + excluded; }
};

enum class asked { never, before_append, after_attention };

/// A budget and two rules: one over a prompt that does not fit, one from token to token.
struct composition {
  int budget = 1;
  bool cuts_prompt = false;
  int stride = 0;  // of the pieces in which the prompt comes; 0: whole
  asked decode = asked::never;
  composed_rule prompt_rule, decode_rule;
  bool shared = false;  // one choice for all heads, by their mean values
  int history = 1;      // of `observed`
  bool threshold = false;
  bool by_query = false;  // `distance` from the query, not the key
};

/// What every head holds after a step, and where comparisons were close.
struct held_positions {
  std::vector<std::vector<std::vector<int>>> after;  // [steps][heads], ascending; step 0 is the prompt
  std::vector<double> attention;                     // of the last token, [query_heads, dim]
  int first_close = 0;  // step of the first comparison below the limit; after.size() if none
};

class composed {
 public:
  composed(trace const& t, composition const& c, int prompt, double limit = 1e-5)
      : trace_(t), c_(c), prompt_(prompt), limit_(limit), heads_(static_cast<std::size_t>(t.kv_heads)) {}

  held_positions run() {
    result_.first_close = 1 + trace_.tokens - prompt_;
    feed_prompt();
    keep();
    for (int token = prompt_; token < trace_.tokens; ++token) {
      ++step_;
      one_by_one(token);
      keep();
    }
    return result_;
  }

 private:
  using values = std::vector<double>;

  void keep() {
    std::vector<std::vector<int>> all;
    for (slot_list const& head : heads_) {
      all.emplace_back();
      for (slot const& s : head) all.back().push_back(s.position);
    }
    result_.after.push_back(all);
  }
  void note(double gap) {
    if (gap < limit_) result_.first_close = std::min(result_.first_close, step_);
  }
  std::size_t held() const { return heads_[0].size(); }

  void append(int token) {
    for (int h = 0; h < trace_.kv_heads; ++h) {
      slot s;
      s.position = token;
      for (int d = 0; d < trace_.dim; ++d) {
        double const x = static_cast<double>(trace_.key(token, h)[d]);
        s.key_norm += x * x;
      }
      if (trace_.bits != 0) {
        sign_code const own = signs_of_key(trace_, token, h);
        note(own.margin);
        s.code = own.bits;
      }
      heads_[static_cast<std::size_t>(h)].push_back(s);
    }
  }

  /// The row of `token` over the first `seen` slots of each head enters sums, squares and rows.
  void observe(int token, std::size_t seen) {
    for (std::size_t h = 0; h < heads_.size(); ++h) {
      std::vector<int> positions;
      for (std::size_t i = 0; i < seen; ++i) positions.push_back(heads_[h][i].position);
      values const row = group_row(trace_, token, static_cast<int>(h), positions);
      for (std::size_t i = 0; i < seen; ++i) {
        slot& s = heads_[h][i];
        s.sum += row[i];
        s.squares += row[i] * row[i];
        s.rows += 1;
        s.last = row[i];
      }
    }
  }
  /// One observation of every slot: `x` of it, under a threshold whether it reached an even share.
  template <class X>
  void take_observation(X const& x) {
    double const even_share = 1.0 / static_cast<double>(std::min(held(), static_cast<std::size_t>(c_.budget)));
    for (slot_list& head : heads_)
      for (slot& s : head) {
        double const value = x(s);
        if (c_.threshold) note_threshold(value, even_share);
        s.observations.push_back(c_.threshold ? (value >= even_share ? 1.0 : 0.0) : value);
      }
  }
  void note_threshold(double value, double even_share) {
    bool const used = c_.prompt_rule.score == measure::observed || c_.decode_rule.score == measure::observed;
    if (used) note(relative_gap(value, even_share));
  }

  /// Tokens begin .. end-1 are written and attend to what is held and to one another.
  void arrive(int begin, int end, bool as_one_observation) {
    for (int token = begin; token < end; ++token) {
      append(token);
      observe(token, held());
      if (!as_one_observation) take_observation([](slot const& s) { return s.last; });
    }
    if (as_one_observation) take_observation([](slot const& s) { return s.sum / s.rows; });
  }

  void feed_prompt() {
    int const n = prompt_, limit = c_.budget;
    if (n <= limit) return arrive(0, n, true);
    if (!c_.cuts_prompt) {  // nothing acts over a prompt: it comes like decode
      arrive(0, 1, true);
      if (c_.decode == asked::after_attention) drop(c_.decode_rule, 0, 1);
      for (int token = 1; token < n; ++token) one_by_one(token);
      return;
    }
    if (c_.stride == 0) {
      arrive(0, n, true);
      cut(c_.prompt_rule, n, n - limit);
      return;
    }
    int first = limit;
    while ((n - first) % c_.stride != 0) --first;
    if (first > 0) arrive(0, first, true);
    for (int begin = first; begin < n; begin += c_.stride) {
      arrive(begin, begin + c_.stride, begin == 0);
      cut(c_.prompt_rule, begin + c_.stride, c_.stride);
    }
  }

  void one_by_one(int token) {
    if (c_.decode == asked::before_append) drop(c_.decode_rule, token, 0);
    arrive(token, token + 1, false);
    for (int q = 0; token + 1 == trace_.tokens && q < trace_.query_heads; ++q) {
      std::vector<int> positions;
      for (slot const& s : heads_[static_cast<std::size_t>(q / trace_.group())]) positions.push_back(s.position);
      values const out = attention_output(trace_, token, q, positions);
      result_.attention.insert(result_.attention.end(), out.begin(), out.end());
    }
    if (c_.decode == asked::after_attention) drop(c_.decode_rule, token, 1);
  }
  /// One goes if a head is full (room 0) or holds one more (room 1).
  void drop(composed_rule const& r, int token, int room) {
    if (held() < static_cast<std::size_t>(c_.budget + room)) return;
    arriving_ = token;
    cut(r, token + room, 1);
  }

  double value(composed_rule const& r, slot const& s, std::size_t h) {
    switch (r.score) {
      case measure::oldest:
        return 0;
      case measure::even:
        return s.position % 2;
      case measure::accumulated:
        return s.sum;
      case measure::mean:
        return s.sum / s.rows;
      case measure::newest_query:
        return s.last;
      case measure::key_norm:
        return -s.key_norm;
      case measure::observed: {
        std::size_t const all = s.observations.size(), most = static_cast<std::size_t>(c_.history);
        std::size_t const counted = c_.history == 1 ? all : std::min(all, most);
        double sum = 0;
        for (std::size_t i = all - counted; i < all; ++i) sum += s.observations[i];
        return sum / static_cast<double>(counted);
      }
      case measure::distance: {
        sign_code const mine = c_.by_query ? signs_of_queries(trace_, arriving_, static_cast<int>(h))
                                           : signs_of_key(trace_, arriving_, static_cast<int>(h));
        note(mine.margin);
        int differing = 0;
        for (std::size_t b = 0; b < mine.bits.size(); ++b) differing += mine.bits[b] != s.code[b] ? 1 : 0;
        return -differing;
      }
    }
    return 0;
  }
  static double variance(slot const& s) {
    return std::fmax(0.0, s.squares / s.rows - s.sum / s.rows * (s.sum / s.rows));
  }
  static double mean_square(slot const& s) { return s.squares / s.rows; }

  /// `count` slots go from every head by what the heads [from, to) say together. next: the position after the newest.
  void decide(composed_rule const& r, int next, int count, std::size_t from, std::size_t to) {
    double const n = static_cast<double>(to - from);
    struct seen {
      int position;
      double score, variance, scale;
    };
    std::vector<seen> left;
    for (std::size_t i = 0; i < heads_[from].size(); ++i) {
      int const p = heads_[from][i].position;
      bool const pinned = p >= r.pinned_from && p < r.pinned_from + r.pinned;
      if (p < r.sinks || p >= next - r.newest || pinned) continue;
      seen one{p, 0, 0, 0};
      for (std::size_t h = from; h < to; ++h) {
        one.score += value(r, heads_[h][i], h);
        one.variance += variance(heads_[h][i]);
        one.scale += mean_square(heads_[h][i]);
      }
      one.score /= n;  // sums of whole numbers are exact: equal ones tie
      left.push_back(one);
    }
    std::sort(left.begin(), left.end(), [](seen const& a, seen const& b) {
      return a.variance != b.variance ? a.variance > b.variance : a.position > b.position;
    });
    std::size_t const out = std::min(left.size(), static_cast<std::size_t>(r.excluded));
    for (std::size_t i = 0; i < out;
         ++i)  // a variance is a difference: its rounding error is relative to the mean square
      for (std::size_t j = out; j < left.size(); ++j)
        if (left[i].variance != left[j].variance)
          note((left[i].variance - left[j].variance) / std::fmax(left[i].scale, left[j].scale));
    std::vector<candidate> candidates;
    for (std::size_t i = out; i < left.size(); ++i) candidates.push_back({left[i].score, left[i].position});
    choice const goes = lowest(candidates, count, r.tie);
    bool const whole_numbers = r.score == measure::oldest || r.score == measure::even || r.score == measure::distance ||
                               (r.score == measure::observed && c_.threshold);
    if (!whole_numbers || (r.score == measure::observed && n > 1)) note(goes.gap);
    for (std::size_t h = from; h < to; ++h) {
      slot_list kept;
      for (slot const& s : heads_[h])
        if (std::find(goes.positions.begin(), goes.positions.end(), s.position) == goes.positions.end())
          kept.push_back(s);
      heads_[h] = kept;
    }
  }
  void cut(composed_rule const& r, int next, int count) {
    if (c_.shared) return decide(r, next, count, 0, heads_.size());
    for (std::size_t h = 0; h < heads_.size(); ++h) decide(r, next, count, h, h + 1);
  }

  trace const& trace_;
  composition const& c_;
  int prompt_;
  double limit_;
  int step_ = 0, arriving_ = 0;
  std::vector<slot_list> heads_;
  held_positions result_;
};

}  // namespace oracle
