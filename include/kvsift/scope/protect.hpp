#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// Guards: slots that never go, whatever their score. Sinks are the first positions of the sequence; the newest are the
/// last positions seen (asked after a token arrived, it is one of them; asked before, it is not); pinned is a span of
/// positions.
struct protect {
  std::uint32_t sinks = 0;
  std::uint32_t newest = 0;
  std::uint32_t pinned_from = 0;
  std::uint32_t pinned = 0;  ///< positions pinned_from .. pinned_from + pinned - 1

  /// `next` is the position of the next token to arrive.
  KVSIFT_HOST_DEVICE constexpr bool holds(std::uint32_t position, std::uint32_t next) const {
    // Neither sink nor newest: the age, 1 for the newest token, lies in (newest, next - sinks].
    std::uint32_t const between = next > sinks + newest ? next - sinks - newest : 0;
    return (next - position - 1 - newest >= between) | (position - pinned_from < pinned);
  }
  /// The most slots that can be guarded at once.
  KVSIFT_HOST_DEVICE constexpr std::uint64_t slots() const { return std::uint64_t{sinks} + newest + pinned; }
  friend constexpr bool operator==(protect const&, protect const&) = default;
};

}  // namespace kvsift
