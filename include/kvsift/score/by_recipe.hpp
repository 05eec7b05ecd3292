#pragma once

#include <cstdint>
#include <limits>

#include <kvsift/column/observations.hpp>
#include <kvsift/column/token_class.hpp>
#include <kvsift/core/recipe.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

namespace detail {

inline constexpr float stays = std::numeric_limits<float>::infinity();
inline constexpr float goes_last = std::numeric_limits<float>::max();

/// What a slot is worth under one recipe.
template <class Positions, class Kinds, class Observed>
struct recipe_worth {
  recipe how;
  observations kept;
  head_context about;
  std::uint32_t stay_from;  ///< tokens from this position on stay,
  std::uint32_t last_from;  ///< and from this one on all others go before them
  Positions positions;
  Kinds kinds;
  Observed observed;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const {
    std::uint32_t const position = positions[slot];
    if ((kinds[slot] & how.kinds) != 0 || position >= stay_from) return stays;
    if (position >= last_from) return goes_last;
    if (how.heavy > 0) return kept.mean(observed[slot], about.observations(position));
    return static_cast<float>(static_cast<std::int32_t>(position));
  }
};

}  // namespace detail

/// What a slot is worth to the recipe that its head chose when its prompt ended (recovering_budget): what the recipe keeps is
/// worth most; the rest is worth its mean observation, as in heavy_hitter, or where attention does not count its position.
/// FastGen (arXiv 2310.01801).
///
/// In decode a token of a kind that is kept is held beside the limit. Where attention counts the newest token goes
/// last of all that may, as if room had been made before it came.
struct by_recipe {
  recipe_list recipes{};
  observations kept{};
  std::uint32_t length = 0;  ///< tokens that the window is a part of; 0: the prompt's

  constexpr auto columns() const { return column_set<token_class, observations>{token_class{}, kept}; }

  template <cooperative_group G, class Use>
  KVSIFT_HOST_DEVICE void prepare(G const&, auto const& row, std::uint32_t*, Use const& use) const {
    recipe const how = chosen(row.about);
    std::uint32_t const next = row.about.next;
    bool const in_decode = next - 1 > row.about.observed_from;
    std::uint32_t const newest = how.newest(length != 0 ? length : row.about.observed_from + 1);
    auto const kinds = row.template get<token_class>();
    auto const observed = row.template get<observations>();
    use(detail::recipe_worth<decltype(row.positions), decltype(kinds), decltype(observed)>{
        how, kept, row.about, next > newest ? next - newest : 0, how.heavy > 0 && in_decode ? next - 1 : next, row.positions, kinds,
        observed});
  }
  KVSIFT_HOST_DEVICE bool beside_limit(auto const& row, std::uint32_t slot) const {
    return (row.template get<token_class>()[slot] & chosen(row.about).kinds) != 0 && row.positions[slot] > row.about.observed_from;
  }
  friend constexpr bool operator==(by_recipe const&, by_recipe const&) = default;

 private:
  KVSIFT_HOST_DEVICE recipe chosen(head_context const& about) const {
    return about.choice != 0 ? recipes.items[about.choice - 1] : recipe{};
  }
};

}  // namespace kvsift
