#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// The columns that a part of a policy reads, or that a policy stores: each kind at most once, with its parameters.
template <slot_column... Columns>
struct column_set : Columns... {
  static constexpr std::size_t size = sizeof...(Columns);
  static constexpr bool feeds_on_attention = (false || ... || Columns::feeds_on_attention);

  template <class C>
  static constexpr bool has = (false || ... || std::is_same_v<C, Columns>);

  /// Place of column C in the set.
  template <class C>
  KVSIFT_HOST_DEVICE static constexpr std::size_t index() {
    std::size_t i = 0;
    (void)(false || ... || (std::is_same_v<C, Columns> || (++i, false)));
    return i;
  }
  template <class C>
  KVSIFT_HOST_DEVICE constexpr C const& get() const {
    return static_cast<C const&>(*this);
  }
  /// The parts of a mass that the stored columns read.
  constexpr mass_part reads() const {
    return (mass_part::none | ... | (get<Columns>().width() != 0 ? mass_read_by<Columns>() : mass_part::none));
  }
  /// Whether some stored column counts a piece as one observation.
  constexpr bool piece_is_one_observation() const {
    return (false || ... || (counts_pieces<Columns>() && get<Columns>().width() != 0));
  }
  /// What the stored columns ask of a prompt's attention.
  KVSIFT_HOST_DEVICE constexpr asked_evidence asked() const {
    asked_evidence of;
    (ask_one(get<Columns>(), of), ...);
    return of;
  }
  /// Drops the columns that `wanted` does not store, as far as they can be dropped.
  constexpr void keep_only(column_set const& wanted) {
    (drop_unless(wanted.template get<Columns>().width() != 0, static_cast<Columns&>(*this)), ...);
  }
  constexpr void drop_all() { (drop_unless(false, static_cast<Columns&>(*this)), ...); }
  /// Takes over what a part of the set asks for, which it was united from.
  template <class... Some>
  constexpr void add(column_set<Some...> const& asked_for) {
    ((void)static_cast<Some&>(*this).merge(asked_for.template get<Some>()), ...);
  }
  /// Floats of the tables that columns share between slots, heads and layers. Throws bad_argument where parameters do not fit.
  std::size_t table_floats(std::uint32_t head_dim) const {
    std::size_t floats = 0;
    for_each([&]<class C>(C const& column, std::size_t) {
      if constexpr (tabled_column<C>) floats += column.table_floats(head_dim);
    });
    return floats;
  }
  /// Writes the tables to memory [table_floats] and lets the columns know that tasks find them at `found`. Host only.
  void bind([[maybe_unused]] std::uint32_t head_dim, [[maybe_unused]] float* memory, [[maybe_unused]] float const* found) {
    (bind_one(static_cast<Columns&>(*this), head_dim, memory, found), ...);
  }
  /// Bytes that the columns store for one slot.
  KVSIFT_HOST_DEVICE constexpr std::size_t bytes_per_slot() const {
    return (std::size_t{0} + ... + (get<Columns>().width() * sizeof(typename Columns::element)));
  }
  /// Calls f.template operator()<Column>(column, index) for each.
  KVSIFT_CALLS_EITHER
  template <class F>
  KVSIFT_HOST_DEVICE void for_each(F const& f) const {
    (f(get<Columns>(), index<Columns>()), ...);
  }
  /// Calls f(index, bytes of an element) for each.
  KVSIFT_CALLS_EITHER
  template <class F>
  KVSIFT_HOST_DEVICE static void for_each_size(F const& f) {
    (f(index<Columns>(), sizeof(typename Columns::element)), ...);
  }
  friend constexpr bool operator==(column_set const&, column_set const&) = default;

 private:
  template <class C>
  static constexpr bool counts_pieces() {
    if constexpr (requires { C::piece_is_one_observation; }) return C::piece_is_one_observation;
    return false;
  }
  template <class C>
  KVSIFT_HOST_DEVICE static constexpr void ask_one(C const& column, asked_evidence& of) {
    if constexpr (requires { column.ask(of); }) column.ask(of);
  }
  template <class C>
  static constexpr void drop_unless(bool wanted, C& column) {
    if constexpr (requires { column.drop(); })
      if (!wanted) column.drop();
  }
  template <class C>
  static void bind_one(C& column, std::uint32_t head_dim, float*& memory, float const*& found) {
    if constexpr (tabled_column<C>) {
      std::size_t const floats = column.table_floats(head_dim);
      column.bind(head_dim, memory, found);
      memory += floats;
      found += floats;
    }
  }
};

namespace detail {

template <class... Left>
constexpr auto join(column_set<Left...> left, column_set<>) {
  return left;
}
template <class... Left, class First, class... Rest>
constexpr auto join(column_set<Left...> left, column_set<First, Rest...> right) {
  column_set<Rest...> const rest{static_cast<Rest const&>(right)...};
  if constexpr (column_set<Left...>::template has<First>) {
    if (!static_cast<First&>(left).merge(static_cast<First const&>(right)))
      throw bad_argument("policy asks for one column with two different parameters; give both rules the same history and window");
    return join(left, rest);
  } else {
    return join(column_set<Left..., First>{static_cast<Left const&>(left)..., static_cast<First const&>(right)}, rest);
  }
}

}  // namespace detail

/// The union: each column once. Throws bad_argument if two parts want one column with different parameters.
template <class Left, class Right>
constexpr auto unite(Left const& left, Right const& right) {
  return detail::join(left, right);
}

}  // namespace kvsift
