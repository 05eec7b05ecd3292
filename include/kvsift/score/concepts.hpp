#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <kvsift/cache/row.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/core/anything.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// What a score looks at of the token that a slot is wanted for. Such a score is legal at before_append alone.
enum class arriving : std::uint32_t { nothing, key, queries };

/// Words of four bytes that a prepared score works in.
struct score_words {
  std::uint32_t components = 0;  ///< for each component of a vector
  std::uint32_t squares = 0;     ///< for each pair of components
  std::uint32_t slots = 0;       ///< for each slot
  std::uint32_t fixed = 0;

  constexpr std::size_t count(std::size_t head_dim, std::size_t n) const {
    return components * head_dim + squares * head_dim * head_dim + slots * n + fixed;
  }
  constexpr score_words most(score_words const& other) const {
    auto const larger = [](std::uint32_t a, std::uint32_t b) { return a > b ? a : b; };
    return {larger(components, other.components), larger(squares, other.squares), larger(slots, other.slots), larger(fixed, other.fixed)};
  }
};

/// A score that looks at the row or at the arriving token as a whole before it is asked of slots. The group calls prepare
/// once a decision and row; it hands `use` the function of a slot that is then the score, and may work in
/// words [2 x num_threads] until then, with more behind them if its `words` says so. Values are written to an array and read from
/// there.
template <class S>
concept prepared_score = requires(S const& score, serial_group const& g, narrowed_row<columns_of<S>, columns_of<S>> const& row,
                                  std::uint32_t* words) {
  score.prepare(g, row, words, takes_anything{});
};

/// How much a slot is worth; the lowest goes first. A pure function of the columns named in columns(), of the slot's
/// position, of the row's context, and of the arriving token if looks_at() says so; called once per slot in a loop that
/// should vectorise. Either a call with row and slot, or a prepared_score.
template <class S>
concept score_source = requires(S const& score) { score.columns(); } &&
    (prepared_score<S> || requires(S const& score, narrowed_row<columns_of<S>, columns_of<S>> const& row, std::uint32_t slot) {
  { score(row, slot) } -> std::convertible_to<float>;
});

/// A score that lets slots be held beside the limit of their head: those of which beside_limit(row, slot) holds.
template <class S>
concept holds_beside_limit = requires(S const& score, narrowed_row<columns_of<S>, columns_of<S>> const& row, std::uint32_t slot) {
  { score.beside_limit(row, slot) } -> std::convertible_to<bool>;
};

/// What a score looks at of the arriving token: nothing, unless it says so.
template <class S>
constexpr arriving looks_at(S const& score) {
  if constexpr (requires { score.looks_at(); }) return score.looks_at();
  return arriving::nothing;
}

}  // namespace kvsift
