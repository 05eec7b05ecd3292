#pragma once

#include <algorithm>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/core/check.hpp>

namespace kvsift {

/// A part of the tokens that a run will have, the same for every head: floor(kept x tokens) slots, at least `least`.
struct ratio_budget {
  double kept = 1;           ///< of the tokens, above 0 and at most 1: what stays, not what goes
  std::uint32_t tokens = 0;  ///< of the prompt, or of the whole run
  std::uint32_t least = 1;

  /// Throws bad_argument for a part outside 0 .. 1.
  std::uint32_t limit(cache_shape const&, std::uint32_t /*layer*/, std::uint32_t /*head*/) const {
    require(kept > 0 && kept <= 1, "kept", kept, "give the part of the tokens that stays, above 0 and at most 1");
    return std::max(least, static_cast<std::uint32_t>(kept * static_cast<double>(tokens) + 1e-9));
  }
  friend constexpr bool operator==(ratio_budget const&, ratio_budget const&) = default;
};

}  // namespace kvsift
