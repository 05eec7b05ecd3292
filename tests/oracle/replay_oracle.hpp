#pragma once

#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <oracle/attention.hpp>
#include <oracle/by_signature.hpp>
#include <oracle/description.hpp>
#include <oracle/rule.hpp>
#include <oracle/trace.hpp>

/// What `replay` has to print for a trace and a policy, in plain double loops that share nothing with include/.
namespace oracle {

/// One decision line. `budget` has head and slots; `evict` step, head, positions; `final` head, positions.
struct event {
  enum class kind { budget, evict, final };
  kind what = kind::final;
  int step = 0;
  int head = 0;
  int slots = 0;
  std::vector<int> positions;

  bool operator==(event const&) const = default;
};

/// How close one head's decision (or thresholded observation) of one step was.
struct closeness {
  int step = 0;
  int head = 0;
  double gap = no_gap;
};

struct replay_result {
  std::vector<event> events;
  std::vector<double> attention;       // [tokens - prompt, query_heads, dim]
  std::vector<closeness> comparisons;  // in the order of time, finite gaps only
  double smallest_gap = no_gap;

  /// The first step at which a comparison was closer than `limit`: from there on float32 may rightly decide otherwise.
  /// `tokens` if there is none.
  int first_close_step(double limit, int tokens) const {
    int first = tokens;
    for (closeness const& c : comparisons) {
      if (c.gap < limit && c.step < first) first = c.step;
    }
    return first;
  }
};

/// The JSON line of an event, without a space.
inline std::string to_line(event const& e) {
  std::string const of_head = "\"head\":" + std::to_string(e.head);
  if (e.what == event::kind::budget) {
    return "{\"event\":\"budget\"," + of_head + ",\"slots\":" + std::to_string(e.slots) + "}";
  }
  std::string text = e.what == event::kind::evict ? "{\"event\":\"evict\",\"step\":" + std::to_string(e.step) + ","
                                                  : std::string("{\"event\":\"final\",");
  text += of_head + ",\"positions\":[";
  for (std::size_t i = 0; i < e.positions.size(); ++i) text.append(i ? "," : "").append(std::to_string(e.positions[i]));
  return text + "]}";
}

inline std::vector<int> positions_of(slot_list const& slots) {
  std::vector<int> positions;
  for (slot const& s : slots) positions.push_back(s.position);
  return positions;
}

inline void remove(slot_list& slots, std::vector<int> const& positions) {
  slot_list kept;
  for (slot const& s : slots) {
    bool goes = false;
    for (int const p : positions) goes = goes || p == s.position;
    if (!goes) kept.push_back(s);
  }
  slots = kept;
}

/// Runs one policy over one trace.
class replayer {
 public:
  /// prompt: 1 .. t.tokens.
  replayer(trace const& t, rule const& r, int prompt)
      : trace_(t), rule_(r), prompt_(prompt), heads_(static_cast<std::size_t>(t.kv_heads)) {
    if (prompt < 1 || prompt > t.tokens) throw std::invalid_argument("oracle: prompt outside 1..tokens");
  }

  replay_result run() {
    if (rule_.stride() > 0) prefill_in_pieces();
    else prefill();
    for (int h = 0; h < trace_.kv_heads; ++h) {
      result_.events.push_back({event::kind::budget, 0, h, slots_[static_cast<std::size_t>(h)], {}});
    }
    for (int token = prompt_; token < trace_.tokens; ++token) decode(token);
    for (int h = 0; h < trace_.kv_heads; ++h) {
      result_.events.push_back({event::kind::final, 0, h, 0, positions_of(of(h))});
    }
    return result_;
  }

 private:
  slot_list& of(int h) { return heads_[static_cast<std::size_t>(h)]; }

  void append(int h, int token) {
    double squares = 0;
    for (int d = 0; d < trace_.dim; ++d) {
      double const x = static_cast<double>(trace_.key(token, h)[d]);
      squares += x * x;
    }
    slot s;
    s.position = token;
    s.key_norm = std::sqrt(squares);
    for (int d = 0; rule_.compares_directions() && d < trace_.dim; ++d)
      s.direction.push_back(static_cast<double>(trace_.key(token, h)[d]) / s.key_norm);
    if (rule_.compares_codes()) {
      sign_code const own = signs_of_key(trace_, token, h);
      note(token, h, own.margin);
      s.code = own.bits;
    }
    of(h).push_back(s);
  }

  void note(int step, int h, double gap) {
    if (gap == no_gap) return;
    result_.comparisons.push_back({step, h, gap});
    result_.smallest_gap = std::fmin(result_.smallest_gap, gap);
  }

  void evict(int step, int h, choice const& c) {
    note(step, h, c.gap);
    if (c.positions.empty()) return;
    remove(of(h), c.positions);
    result_.events.push_back({event::kind::evict, step, h, 0, c.positions});
  }

  /// Each head's row of `token` over what it holds; for a shared rule the mean of them in every head.
  std::vector<std::vector<double>> rows_of(int token, std::vector<std::vector<int>> const& held) const {
    std::vector<std::vector<double>> rows;
    for (int h = 0; h < trace_.kv_heads; ++h) {
      rows.push_back(group_row(trace_, token, h, held[static_cast<std::size_t>(h)]));
    }
    if (!rule_.rows_are_shared()) return rows;
    std::vector<double> mean(rows[0].size(), 0.0);
    for (std::vector<double> const& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) mean[i] += row[i] / trace_.kv_heads;
    }
    return std::vector<std::vector<double>>(rows.size(), mean);
  }

  void prefill() {
    std::vector<attention_map> maps(heads_.size());
    std::vector<int> seen;
    for (int token = 0; token < prompt_; ++token) {
      seen.push_back(token);
      std::vector<std::vector<double>> const rows = rows_of(token, std::vector<std::vector<int>>(heads_.size(), seen));
      for (std::size_t h = 0; h < heads_.size(); ++h) maps[h].push_back(rows[h]);
    }
    int const too_many = prompt_ - rule_.limit(trace_.tokens);
    for (int h = 0; h < trace_.kv_heads; ++h) {
      for (int token = 0; token < prompt_; ++token) append(h, token);
      rule_.observe_prompt(of(h), maps[static_cast<std::size_t>(h)]);
    }
    std::vector<choice> goes;
    if (too_many > 0) goes = rule_.cut_heads(heads_, maps, too_many);
    for (int h = 0; h < trace_.kv_heads; ++h) {
      std::size_t const head = static_cast<std::size_t>(h);
      if (too_many > 0) evict(prompt_ - 1, h, goes[head]);
      slots_.push_back(too_many > 0 ? static_cast<int>(of(h).size()) : rule_.limit(trace_.tokens));
      note(prompt_ - 1, h, rule_.observe_kept(of(h), maps[head]));
    }
  }

  /// `count` slots of a head go after `token` was observed.
  void drop(int h, int token, int count) {
    if (rule_.draws()) return evict(token, h, rule_.drawn(of(h), trace_.uniform(token, h)));
    evict(token, h, count == 1 ? rule_.victim(of(h), token) : rule_.cut(of(h), {}, count));
  }

  /// One token is appended to every head and attends to what its head holds; `observed`: its rows enter the statistics.
  void arrive(int token, bool observed) {
    std::vector<std::vector<int>> held;
    for (int h = 0; h < trace_.kv_heads; ++h) {
      append(h, token);
      held.push_back(positions_of(of(h)));
    }
    std::vector<std::vector<double>> const rows = rows_of(token, held);
    for (int h = 0; observed && h < trace_.kv_heads; ++h) note(token, h, rule_.observe(of(h), rows[static_cast<std::size_t>(h)]));
  }

  void prefill_in_pieces() {
    int const limit = rule_.limit(trace_.tokens), stride = rule_.stride();
    int first = prompt_;
    if (prompt_ > limit) {
      first = limit;
      while ((prompt_ - first) % stride != 0) --first;  // the largest piece that fits and leaves whole strides
    }
    for (int token = 0; token < first; ++token) arrive(token, !rule_.silent());
    for (int begin = first; begin < prompt_; begin += stride) {
      for (int token = begin; token < begin + stride; ++token) arrive(token, true);
      for (int h = 0; h < trace_.kv_heads; ++h) drop(h, begin + stride - 1, stride);
    }
    slots_.assign(heads_.size(), limit);
  }

  void decode(int token) {
    std::size_t const limit = static_cast<std::size_t>(rule_.limit(trace_.tokens));
    if (rule_.makes_room_first()) {
      for (int h = 0; h < trace_.kv_heads; ++h) {
        if (of(h).size() < limit || rule_.grows()) continue;
        newcomer arriving;
        if (rule_.compares_codes()) {
          sign_code const key = signs_of_key(trace_, token, h), query = signs_of_queries(trace_, token, h);
          note(token, h, std::fmin(key.margin, query.margin));
          arriving = {key.bits, query.bits};
        }
        evict(token, h, rule_.room_for(of(h), token, arriving));
      }
    }
    std::vector<std::vector<int>> held;
    for (int h = 0; h < trace_.kv_heads; ++h) {
      append(h, token);
      held.push_back(positions_of(of(h)));
    }
    for (int q = 0; q < trace_.query_heads; ++q) {
      std::vector<double> const out =
          attention_output(trace_, token, q, held[static_cast<std::size_t>(q / trace_.group())]);
      result_.attention.insert(result_.attention.end(), out.begin(), out.end());
    }
    std::vector<std::vector<double>> const rows = rows_of(token, held);
    for (int h = 0; h < trace_.kv_heads; ++h) {
      note(token, h, rule_.observe(of(h), rows[static_cast<std::size_t>(h)]));
      if (!rule_.makes_room_first() && !rule_.grows() && of(h).size() > limit) drop(h, token, 1);
    }
  }

  trace const& trace_;
  rule const& rule_;
  int prompt_;
  std::vector<slot_list> heads_;
  std::vector<int> slots_;  // that each head may keep, at the start of decode
  replay_result result_;
};

/// The decisions and outputs of policy `d` on trace `t`, the first `prompt` tokens being its prompt.
inline replay_result replay(trace const& t, description const& d, int prompt) {
  std::unique_ptr<rule> const r = make_rule(d);
  return replayer(t, *r, prompt).run();
}

}  // namespace oracle
