#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

namespace oracle {

/// A token that a KV head still holds, and what its keys and attention have shown so far.
struct slot {
  int position = 0;
  double key_norm = 0;
  std::vector<double> direction;     // its key by its norm, keydiff only
  std::vector<int> code;             // signs of its key's projections, lsh only
  double sum = 0;                    // attention received since it was appended, its own row included
  double squares = 0;                // the same, squared row by row
  int rows = 0;                      // how many rows that were
  double last = 0;                   // attention in the newest row
  std::vector<double> observations;  // heavy_hitter only, oldest first
};

/// What is known of a token before it has a slot.
struct newcomer {
  std::vector<int> key_code, query_code;  // lsh only
};

/// The slots of one KV head, ordered by position.
using slot_list = std::vector<slot>;

/// A causal attention map of a prompt: map[i][j] for j <= i.
using attention_map = std::vector<std::vector<double>>;

inline constexpr double no_gap = std::numeric_limits<double>::infinity();

/// |a - b| relative to the larger one. Exactly equal numbers are a tie, which position settles: no gap.
inline double relative_gap(double a, double b) {
  return a == b ? no_gap : std::fabs(a - b) / std::fmax(std::fabs(a), std::fabs(b));
}

/// The positions that go, ascending, and the smallest relative gap of the comparisons of real numbers they rest on.
struct choice {
  std::vector<int> positions;
  double gap = no_gap;
};

enum class ties { lowest_goes, lowest_stays };

struct candidate {
  double score;
  int position;
};

/// The `count` lowest scores go.
inline choice lowest(std::vector<candidate> candidates, int count, ties tie) {
  std::sort(candidates.begin(), candidates.end(), [tie](candidate const& a, candidate const& b) {
    if (a.score != b.score) return a.score < b.score;
    return tie == ties::lowest_goes ? a.position < b.position : a.position > b.position;
  });
  choice result;
  std::size_t const n = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < n; ++i) result.positions.push_back(candidates.at(i).position);
  if (n > 0 && n < candidates.size()) result.gap = relative_gap(candidates[n - 1].score, candidates[n].score);
  std::sort(result.positions.begin(), result.positions.end());
  return result;
}

/// One policy of specs as the oracle runs it. The default feeds every row into sum, squares, rows and last.
class rule {
 public:
  virtual ~rule() = default;

  /// Slots a head may keep, for a trace of `tokens` tokens.
  virtual int limit(int tokens) const = 0;
  /// true: a full head evicts before the token is appended; false: after it was appended and observed.
  virtual bool makes_room_first() const { return false; }
  /// true: every head sees the mean row of all heads, so all choose the same.
  virtual bool rows_are_shared() const { return false; }

  /// true: nothing goes in decode, heads grow.
  virtual bool grows() const { return false; }

  /// Tokens of the pieces that a long prompt comes in; 0: it comes whole.
  virtual int stride() const { return 0; }
  /// true: a piece that evicts nothing is not observed.
  virtual bool silent() const { return false; }
  /// true: a decision takes a draw in [0, 1) and is drawn().
  virtual bool draws() const { return false; }
  virtual choice drawn(slot_list const& slots, double) const { return victim(slots, 0); }

  /// What goes when the prompt `map` is longer than the limit; every row was observed.
  virtual choice cut(slot_list const& slots, attention_map const& map, int count) const = 0;
  /// The same for all heads at once, `count` a head or as they compete for them.
  virtual std::vector<choice> cut_heads(std::vector<slot_list> const& heads, std::vector<attention_map> const& maps, int count) const {
    std::vector<choice> all;
    for (std::size_t h = 0; h < heads.size(); ++h) all.push_back(cut(heads[h], maps[h], count));
    return all;
  }
  /// What goes at the decode step of `token`.
  virtual choice victim(slot_list const& slots, int token) const = 0;
  /// What makes room for `token`, for a rule that makes room first.
  virtual choice room_for(slot_list const& slots, int token, newcomer const&) const { return victim(slots, token); }
  /// true: slots and newcomers have codes.
  virtual bool compares_codes() const { return false; }

  /// true: slots have directions.
  virtual bool compares_directions() const { return false; }

  /// The whole causal prompt at once, over all its tokens; `slots` holds them all, nothing is cut yet.
  virtual void observe_prompt(slot_list& slots, attention_map const& map) const {
    for (std::vector<double> const& row : map) observe_row(slots, row);
  }
  /// After the cut of the prompt, or without one; returns the gap of what it compared.
  virtual double observe_kept(slot_list&, attention_map const&) const { return no_gap; }
  /// The row of one decode token, one weight a slot; returns the gap of what it compared.
  virtual double observe(slot_list& slots, std::vector<double> const& row) const {
    observe_row(slots, row);
    return no_gap;
  }

 protected:
  /// Row weights belong to the first slots; later ones are masked.
  static void observe_row(slot_list& slots, std::vector<double> const& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      slots[i].sum += row[i];
      slots[i].squares += row[i] * row[i];
      slots[i].rows += 1;
      slots[i].last = row[i];
    }
  }
};

/// Candidates of the policies that evict after attention: outside positions < sinks and the newest `newest` slots.
inline std::vector<slot> outside(slot_list const& slots, int sinks, int newest) {
  std::vector<slot> left;
  int const end = static_cast<int>(slots.size()) - newest;
  for (int i = 0; i < end; ++i) {
    if (slots[static_cast<std::size_t>(i)].position >= sinks) left.push_back(slots[static_cast<std::size_t>(i)]);
  }
  return left;
}

/// Candidates of the policies that make room first, when `token` arrives: positions sinks .. token - recent - 1.
inline std::vector<slot> older_than(slot_list const& slots, int sinks, int token, int recent) {
  std::vector<slot> left;
  for (slot const& s : slots) {
    if (s.position >= sinks && s.position < token - recent) left.push_back(s);
  }
  return left;
}

}  // namespace oracle
