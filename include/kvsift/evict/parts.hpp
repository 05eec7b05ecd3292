#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include <kvsift/cache/memory.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/payload/concepts.hpp>
#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// Where the slots of a row lie: in_rows, in_pages.
template <class P>
concept slot_placement = requires {
  typename P::places;
  { P::paged } -> std::convertible_to<bool>;
  { P::grain } -> std::convertible_to<std::uint32_t>;
};

// The parts of a cache beside its policy: each by what it is, so that they can be given in any order.
namespace detail {

struct any_payload {
  template <class P>
  static constexpr bool is = vector_payload<P>;
};
struct any_position {
  template <class P>
  static constexpr bool is = position_rule<P>;
};
struct any_disposal {
  template <class P>
  static constexpr bool is = disposal<P>;
};
struct any_placement {
  template <class P>
  static constexpr bool is = slot_placement<P>;
};
struct any_memory {
  template <class P>
  static constexpr bool is = cache_memory<P>;
};

template <class Kind, class... Parts>
inline constexpr int parts_of = (0 + ... + (Kind::template is<Parts> ? 1 : 0));
template <class Part>
inline constexpr bool is_part =
    any_payload::is<Part> || any_position::is<Part> || any_disposal::is<Part> || any_placement::is<Part> || any_memory::is<Part>;

/// The type of the part of a kind, or what is usual.
template <class Kind, class Usual, class... Parts>
struct part {
  using type = Usual;
};
template <class Kind, class Usual, class First, class... Rest>
struct part<Kind, Usual, First, Rest...> : std::conditional_t<Kind::template is<First>, std::type_identity<First>, part<Kind, Usual, Rest...>> {};
template <class Kind, class Usual, class... Parts>
using part_t = typename part<Kind, Usual, Parts...>::type;

/// The part of a kind itself, or one without arguments.
template <class Kind, class Wanted>
Wanted given_part() {
  return Wanted{};
}
template <class Kind, class Wanted, class First, class... Rest>
Wanted given_part(First const& first, Rest const&... rest) {
  if constexpr (Kind::template is<First>) return first;
  else return given_part<Kind, Wanted>(rest...);
}

}  // namespace detail

}  // namespace kvsift
