#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// How the sums of a group's query heads become the one number of their KV head.
enum class group_reduction : std::uint32_t { mean, max, sum };

/// What the columns ask of a prompt's attention beside its sums: one of each kind, or none.
struct asked_evidence {
  std::uint32_t window = 0;                            ///< queries at its end whose attention is summed apart; 0: none
  group_reduction window_reduction = group_reduction::mean;  ///< of those sums, over the query heads of a group
  double young = 0;  ///< part of its tokens that a slot is young for: attention until then is summed apart; 0: none
  friend constexpr bool operator==(asked_evidence const&, asked_evidence const&) = default;
};

/// What the queries of one step said of one slot: attention probabilities, averaged over the query heads of the group
/// before anything else is done with them. The waist between attention and policy.
struct mass {
  float sum = 0;           ///< over the queries of the step
  float squares = 0;       ///< sum of squares
  float last = 0;          ///< of the newest query
  float window = 0;        ///< sum over the last queries of a prompt (asked_evidence::window)
  std::uint32_t rows = 1;  ///< queries that could see the slot
  float young = 0;         ///< sum over the queries of a prompt that saw the slot while it was young (asked_evidence::young)
};

/// Parts of a mass. A set of these is a sum of them.
enum class mass_part : std::uint32_t { none = 0, sum = 1, squares = 2, last = 4, window = 8, young = 16 };

KVSIFT_HOST_DEVICE constexpr mass_part operator|(mass_part a, mass_part b) {
  return static_cast<mass_part>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
KVSIFT_HOST_DEVICE constexpr bool includes(mass_part set, mass_part one) {
  return (static_cast<std::uint32_t>(set) & static_cast<std::uint32_t>(one)) != 0;
}

/// A token on its way into a slot. Where none arrives, everything but head_dim is null.
struct arrival {
  float const* key = nullptr;    ///< [head_dim], as it is stored
  float const* value = nullptr;  ///< [head_dim]
  std::uint32_t head_dim = 0;
  std::uint32_t position = 0;
  float const* queries = nullptr;  ///< [group, head_dim], encoded as the key is; null where they are not known yet
  std::uint32_t group = 0;
  std::uint32_t kinds = 0;  ///< a sum of token_kind
};

/// What a column, a score or a guard may know of the row its slots lie in.
struct head_context {
  std::uint32_t layer = 0;
  std::uint32_t sequence = 0;
  std::uint32_t head = 0;
  std::uint32_t held = 0;           ///< slots the head holds once the step is over
  std::uint32_t limit = 0;          ///< its budget
  std::uint32_t next = 0;           ///< position of the next token to arrive = tokens seen
  std::uint32_t observed_from = 0;  ///< last position of the prompt, which counts as one observation
  std::uint32_t fed_from = 0;       ///< position of the first query that fed the columns: 0 unless a rule is silent
  std::uint32_t choice = 0;         ///< what a measured budget chose for the head, counted from 1; 0: nothing yet

  /// Queries that saw the token at `position` and fed the columns, its own included: no bytes are stored for them.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t visits(std::uint32_t position) const {
    return next - (position > fed_from ? position : fed_from);
  }
  /// Observations of that token, a whole prompt being one.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t observations(std::uint32_t position) const {
    return next - (position > observed_from ? position : observed_from);
  }
};

/// Elements a slot of column C, where the compiler knows: a static width(), or `width_if_stored` where it is that or 0. Else 0.
/// Readers of a column of known width 1 are given its element, the others a pointer to its elements.
template <class C>
consteval std::uint32_t known_width() {
  if constexpr (requires { typename std::integral_constant<std::uint32_t, C::width()>; })
    return C::width();
  else if constexpr (requires { C::width_if_stored; })
    return C::width_if_stored;
  else
    return 0;
}

/// A value that is kept for every slot and travels with it: born when a token arrives (admit), fed by evidence (observe).
/// width() elements a slot, known at run time; 0 means that the column is not stored at all.
/// merge unites what two parts of a policy ask of the same column; it says whether that is possible.
/// `piece_is_one_observation`: it counts a piece as one, so that once a prompt is in, pieces come token by token.
/// May have ask(asked_evidence&), and drop(), which makes its width 0: then it is not kept beyond a prompt that alone it is read at.
template <class C>
concept slot_column = requires(C const& c, C& mine, typename C::element* e, mass const& m, head_context const& head,
                               arrival const& token) {
  { c.width() } -> std::convertible_to<std::uint32_t>;
  { mine.merge(c) } -> std::convertible_to<bool>;
  c.admit(e, token, head);
  c.observe(e, m, head);
  { C::feeds_on_attention } -> std::convertible_to<bool>;
};

/// The name of a column in files and tables: its `name`, or "" where it has none.
template <slot_column C>
constexpr char const* column_name() {
  if constexpr (requires { C::name; })
    return C::name;
  else
    return "";
}

/// The parts of a mass that a column reads: its `reads`, and where it does not say, all of what attention always gives.
/// Engines that compute the mass themselves are asked for these.
template <slot_column C>
constexpr mass_part mass_read_by() {
  if constexpr (!C::feeds_on_attention)
    return mass_part::none;
  else if constexpr (requires { C::reads; })
    return C::reads;
  else
    return mass_part::sum | mass_part::squares | mass_part::last;
}

/// A column that shares a table of floats between all slots: made once, when the cache is, on the host. bind(head_dim, memory,
/// found) writes it to memory [table_floats]; tasks find it at `found`, which is elsewhere where the cache is a device's.
template <class C>
concept tabled_column = slot_column<C> && requires(C const& c, C& mine, std::uint32_t head_dim, float* memory, float const* found) {
  { c.table_floats(head_dim) } -> std::convertible_to<std::size_t>;
  mine.bind(head_dim, memory, found);
};

}  // namespace kvsift
