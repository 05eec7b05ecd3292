#pragma once
// Sets of players, and how they are drawn.
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/random.hpp>

namespace programs {

using coalition = std::vector<bool>;  // [players], true: a member

inline coalition complement(coalition members) {
  members.flip();
  return members;
}

// Draw `draw` of all coalitions of `size` players, each as likely as another. It depends on nothing but the arguments,
// so that any process can draw it.
inline coalition draw_coalition(std::size_t players, std::size_t size, std::uint64_t seed, std::uint64_t draw) {
  kvsift::require(size >= 1 && size <= players, "coalition size", size, "give 1 to the number of players");
  using kvsift::counter_random;
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15ull;
  std::uint64_t const stream =
      counter_random::mix(counter_random::mix(counter_random::mix(seed + golden) + size) + draw);
  std::uint64_t words = 0;
  auto const below =
      [&](std::uint64_t bound) {  // the lowest words are drawn again: what is left is a multiple of bound
        for (;;)
          if (std::uint64_t const word = counter_random::mix(stream + golden * ++words); word >= (0 - bound) % bound)
            return word % bound;
      };
  std::vector<std::size_t> order(players);
  std::iota(order.begin(), order.end(), std::size_t{0});
  coalition members(players, false);
  for (std::size_t i = 0; i < size; ++i) {
    std::swap(order[i], order[i + static_cast<std::size_t>(below(players - i))]);
    members[order[i]] = true;
  }
  return members;
}

}  // namespace programs
