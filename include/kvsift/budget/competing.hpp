#pragma once

#include <cstdint>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select.hpp>
#include <kvsift/core/exact.hpp>

namespace kvsift {

/// Splits the slots of a layer's KV heads after a prompt by one ranking over all of them, as Ada-KV does
/// (arXiv 2407.11550); a part `floor` of each head's own share is not up for competition.
///
///   b[h] = limit[h] - guarded,  won[h] = how many of the sum of b highest scores belong to head h
///   share[h] = won[h] (1 - floor) + b[h] floor, rounded to a millionth
///   limit[h] = guarded + whole part, and the slots still missing go one each to the largest remainders
///
/// Equal scores: lower position first, then lower head; equal remainders: lower head. The limits sum to what they summed
/// to before. The scores are read a fixed number of times (select_lowest).
struct competing_shares {
  static constexpr bool each_head = false;

  double floor = 0.2;  ///< 0 .. 1

  /// The least and the most slots that a head with `limit` can come out with, `guarded` of them out of competition, where
  /// all heads have `all`.
  constexpr std::uint64_t least(std::uint64_t limit, std::uint64_t guarded) const {
    return guarded + static_cast<std::uint64_t>(static_cast<double>(limit - guarded) * floor);
  }
  constexpr std::uint64_t most(std::uint64_t limit, std::uint64_t all, std::uint64_t heads, std::uint64_t guarded) const {
    double const own = static_cast<double>(limit - guarded), sum = static_cast<double>(all - heads * guarded);
    return guarded + static_cast<std::uint64_t>(sum * (1 - floor) + own * floor) + 1;
  }

  /// scores(h, i): order in which slot i of head h is kept, lowest first, never_key if it is kept anyway. records [heads]:
  /// limit is read and written. tally(h): a word of its own for each head. words [2 x threads].
  template <cooperative_group G, class Scores, class Record>
  KVSIFT_HOST_DEVICE void allocate(G const& g, Scores const& scores, Record* records, std::uint32_t* words) const {
    std::uint32_t const heads = scores.heads, guarded = scores.guarded;
    std::uint32_t all = 0;
    for (std::uint32_t h = 0; h < heads; ++h) all += records[h].limit - guarded;
    auto const key = [&](std::uint32_t i) { return scores(i / scores.slots, i % scores.slots); };
    auto const tie = [&](std::uint32_t i) { return i % scores.slots * heads + i / scores.slots; };
    selection_cut const cut = select_lowest(g, key, tie, heads * scores.slots, all, words);
    for (std::uint32_t h = 0; h < heads; ++h) {
      std::uint32_t mine = 0;
      for (std::uint32_t i = g.thread_rank(); i < scores.slots; i += g.num_threads())
        mine += cut.holds(scores(h, i), i * heads + h) ? 1u : 0u;
      std::uint32_t const won = group_sum(g, words, mine);
      if (g.thread_rank() == 0) scores.tally(h) = won;
    }
    g.sync();
    if (g.thread_rank() == 0) share_out(scores, records, all);
    g.sync();
  }

 private:
  static constexpr std::uint64_t million = 1000000;

  KVSIFT_HOST_DEVICE std::uint64_t millionths(std::uint32_t won, std::uint32_t own) const {
    double const share = rounded_product(static_cast<double>(won), 1 - floor) + rounded_product(static_cast<double>(own), floor);
    return static_cast<std::uint64_t>(rounded_product(share, static_cast<double>(million)) + 0.5);
  }
  template <class Scores, class Record>
  KVSIFT_HOST_DEVICE void share_out(Scores const& scores, Record* records, std::uint32_t all) const {
    std::uint32_t missing = all;
    for (std::uint32_t h = 0; h < scores.heads; ++h) {
      std::uint64_t const share = millionths(scores.tally(h), records[h].limit - scores.guarded);
      records[h].limit = scores.guarded + static_cast<std::uint32_t>(share / million);
      scores.tally(h) = static_cast<std::uint32_t>(share % million);
      missing -= static_cast<std::uint32_t>(share / million);
    }
    for (; missing != 0; --missing) {
      std::uint32_t largest = 0;
      for (std::uint32_t h = 1; h < scores.heads; ++h)
        if (scores.tally(h) + 1 > scores.tally(largest) + 1) largest = h;  // ~0: has had its slot, comes last
      ++records[largest].limit;
      scores.tally(largest) = 0xffffffffu;
    }
  }

 public:
  friend constexpr bool operator==(competing_shares const&, competing_shares const&) = default;
};

/// A measured budget: `base` says what each head would have, and after a prompt that does not fit the heads of a layer
/// compete for the sum. What a layer takes is known before; how it is split is not.
template <budget_allocator Base>
struct competing_budget {
  Base base{};
  competing_shares shares{};

  constexpr std::uint32_t limit(cache_shape const& shape, std::uint32_t layer, std::uint32_t head) const {
    return base.limit(shape, layer, head);
  }
  template <class F>
  constexpr void with_measured(F const& f) const {
    f(shares);
  }
  friend constexpr bool operator==(competing_budget const&, competing_budget const&) = default;
};

template <budget_allocator Base>
competing_budget(Base, competing_shares) -> competing_budget<Base>;

}  // namespace kvsift
