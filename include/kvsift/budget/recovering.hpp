#pragma once

#include <cstdint>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select.hpp>
#include <kvsift/column/attention.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/column/token_class.hpp>
#include <kvsift/core/ordered_key.hpp>
#include <kvsift/core/recipe.hpp>

namespace kvsift {

namespace detail {

/// Order in which the later of two positions comes first.
template <class Positions>
struct late_first {
  Positions const& positions;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return ~positions[slot] - 1; }
};

/// Order in which slots stay for their attention: the highest mean first; what stays anyway comes last.
template <class Kept>
struct heaviest_first {
  Kept const& kept;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const {
    float const mean = kept.row.template get<attention_sum>()[slot] / kept.row.float_visits(slot);
    return (never_key - 1 - ordered_key(mean)) | mask_of(kept.stays(slot));
  }
};

/// The slots of a prompt that a recipe keeps, where its parts are of `length` tokens.
template <class Row>
struct kept_by_recipe {
  Row const& row;
  recipe how;
  std::uint32_t sinks;
  std::uint32_t stay_from;
  selection_cut heavy{};
  std::uint32_t count = 0;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE kept_by_recipe(G const& g, Row const& r, recipe const& of, std::uint32_t first, std::uint32_t length, std::uint32_t* words)
      : row(r), how(of), sinks(first) {
    std::uint32_t const tokens = row.about.held, newest = how.newest(length);
    stay_from = row.about.next > newest ? row.about.next - newest : 0;
    std::uint32_t mine = 0;
    for (std::uint32_t i = g.thread_rank(); i < tokens; i += g.num_threads()) mine += stays(i) ? 1u : 0u;
    std::uint32_t const anyway = group_sum(g, words, mine);
    std::uint32_t const heaviest = how.heaviest(length, tokens - anyway);
    count = anyway + heaviest;
    if (heaviest != 0) heavy = select_lowest(g, heaviest_first<kept_by_recipe>{*this}, late(), tokens, heaviest, words);
  }
  KVSIFT_HOST_DEVICE bool stays(std::uint32_t slot) const {
    std::uint32_t const position = row.positions[slot];
    return position < sinks || position >= stay_from || (row.template get<token_class>()[slot] & how.kinds) != 0;
  }
  KVSIFT_HOST_DEVICE bool holds(std::uint32_t slot) const {
    return stays(slot) || heavy.holds(heaviest_first<kept_by_recipe>{*this}(slot), late()(slot));
  }

 private:
  KVSIFT_HOST_DEVICE late_first<decltype(Row::positions)> late() const { return {row.positions}; }
};

}  // namespace detail

/// Lets every head choose a recipe when its prompt ends: the first that keeps the part `recovery` of the prompt's attention, or
/// the last. FastGen (arXiv 2310.01801), the hybrid of cold-compress.
///
///   recovered(r) = 1 / P sum over queries i of the attention a(i, j) to those j that query i sees under r:
///                  sinks, kinds that r keeps, the newest of r's window before i, and the heaviest of the others, which are
///                  ranked by their mean attention, equals by position, the higher first
///
/// That is the sum of S1(j) over what is kept to the end and of young_attention(j) over the rest. Summed as whole numbers of
/// 2^-32, so that every executor gets the same. The limit of a head is what its recipe keeps of the prompt.
/// Reads the columns of the prompt 34 times for each recipe that counts attention and twice for each other.
struct recovering_shares {
  static constexpr bool each_head = true;

  recipe_list recipes{};
  double recovery = 0.9;
  std::uint32_t sinks = 4;
  std::uint32_t length = 0;  ///< tokens that parts are of in what is kept; 0: the prompt's, as in what is recovered

  constexpr auto columns() const {
    return column_set<attention_sum, young_attention, token_class>{attention_sum{}, young_attention{recipes.window()}, token_class{}};
  }

  /// Sets limit and choice of a head by what its prompt paid. row: of the prompt, in position order. words [2 x threads].
  template <cooperative_group G, class Row, class Record>
  KVSIFT_HOST_DEVICE void measure(G const& g, Row const& row, Record& record, std::uint32_t* words) const {
    std::uint32_t const tokens = row.about.held;
    double const goal = recovery * static_cast<double>(tokens) * unit;
    std::uint32_t r = 0;
    for (; r + 1 < recipes.count && !recipes.items[r].everything; ++r) {
      detail::kept_by_recipe<Row> const kept(g, row, recipes.items[r], sinks, tokens, words);
      std::uint64_t mine = 0;
      for (std::uint32_t i = g.thread_rank(); i < tokens; i += g.num_threads()) {
        bool const young = recipes.items[r].window > 0;
        mine += kept.holds(i) ? fixed(row.template get<attention_sum>()[i], tokens)
                : young       ? fixed(row.template get<young_attention>()[i], tokens)
                              : 0;
      }
      if (static_cast<double>(group_sum(g, words, mine)) >= goal) break;
    }
    std::uint32_t limit = no_limit;
    if (!recipes.items[r].everything) {
      detail::kept_by_recipe<Row> const kept(g, row, recipes.items[r], sinks, length != 0 ? length : tokens, words);
      limit = kept.count > 0 ? kept.count : 1;
    }
    g.sync();
    if (g.thread_rank() == 0) {
      record.limit = limit;
      record.choice = r + 1;
    }
    g.sync();
  }
  friend constexpr bool operator==(recovering_shares const&, recovering_shares const&) = default;

 private:
  static constexpr double unit = 4294967296.0;

  KVSIFT_HOST_DEVICE static std::uint64_t fixed(float x, std::uint32_t most) {
    double const bounded = x >= 0 ? (x < static_cast<float>(most) ? static_cast<double>(x) : static_cast<double>(most)) : 0;
    return static_cast<std::uint64_t>(bounded * unit);
  }
};

/// A measured budget without a number of slots: heads keep what the recipes that they choose keep, at most all.
struct recovering_budget {
  recovering_shares shares{};

  constexpr std::uint32_t limit(cache_shape const&, std::uint32_t, std::uint32_t) const { return no_limit; }
  constexpr auto columns() const { return shares.columns(); }
  template <class F>
  constexpr void with_measured(F const& f) const {
    f(shares);
  }
  friend constexpr bool operator==(recovering_budget const&, recovering_budget const&) = default;
};

}  // namespace kvsift
