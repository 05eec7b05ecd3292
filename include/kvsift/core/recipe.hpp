#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// What a token is, beside a part of a text. A set of these is a sum of them.
enum class token_kind : std::uint32_t { ordinary = 0, special = 1, punctuation = 2 };

/// Slots that make up a part of `tokens`: its whole slots, at least one.
KVSIFT_HOST_DEVICE constexpr std::uint32_t slots_of_part(double part, std::uint32_t tokens) {
  std::uint32_t const whole = static_cast<std::uint32_t>(part * static_cast<double>(tokens));
  return whole > 0 ? whole : 1;
}

/// What a head keeps under one of the strategies of FastGen (arXiv 2310.01801). Sinks stay under all of them. Parts are of the
/// prompt's tokens.
struct recipe {
  std::uint32_t kinds = 0;  ///< a sum of token_kind: tokens of these kinds stay
  double window = 0;        ///< the newest tokens stay; 0: none for that reason
  double heavy = 0;         ///< of the others, those that received most attention; 0: none
  bool everything = false;

  /// Tokens of the window where parts are of `tokens`.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t newest(std::uint32_t tokens) const {
    return window > 0 ? slots_of_part(window, tokens) : 0;
  }
  /// How many of `others` tokens stay for their attention.
  KVSIFT_HOST_DEVICE constexpr std::uint32_t heaviest(std::uint32_t tokens, std::uint32_t others) const {
    double const wanted = heavy * static_cast<double>(tokens);
    if (wanted >= static_cast<double>(others)) return others;
    std::uint32_t const whole = static_cast<std::uint32_t>(wanted);
    return whole + (static_cast<double>(whole) < wanted ? 1 : 0);
  }
  friend constexpr bool operator==(recipe const&, recipe const&) = default;
};

/// Recipes in the order in which heads try them: what keeps least first, and last what is kept where nothing else suffices.
struct recipe_list {
  static constexpr std::uint32_t most = 8;
  recipe items[most] = {};
  std::uint32_t count = 0;

  constexpr recipe_list& add(recipe const& one) {
    items[count++] = one;
    return *this;
  }
  /// The window that recipes with one have in common, or 0.
  KVSIFT_HOST_DEVICE constexpr double window() const {
    double found = 0;
    for (std::uint32_t i = 0; i < count; ++i) found = items[i].window > found ? items[i].window : found;
    return found;
  }
  friend constexpr bool operator==(recipe_list const&, recipe_list const&) = default;
};

}  // namespace kvsift
