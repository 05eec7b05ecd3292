#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/reduce.hpp>
#include <kvsift/collective/select.hpp>
#include <kvsift/column/attention.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// Draws in [0, 1) that a user supplies: one for each token, layer and KV head. Must live as long as the policy, and be readable
/// where its tasks run.
struct supplied_draws {
  float const* values = nullptr;  ///< [tokens, layers, kv_heads]; null: none
  std::uint32_t tokens = 0;
  std::uint32_t layers = 1;
  std::uint32_t kv_heads = 1;

  KVSIFT_HOST_DEVICE bool has(std::uint32_t token) const { return values != nullptr && token < tokens; }
  KVSIFT_HOST_DEVICE float operator()(std::uint32_t token, std::uint32_t layer, std::uint32_t head) const {
    return values[(std::size_t{token} * layers + layer) * kv_heads + head];
  }
  friend constexpr bool operator==(supplied_draws const&, supplied_draws const&) = default;
};

namespace detail {

template <class Positions>
struct positions_of_slots {
  Positions positions;
  KVSIFT_HOST_DEVICE std::uint32_t operator()(std::uint32_t slot) const { return positions[slot]; }
};

/// What a slot is worth once it is known whether the candidate is taken in.
template <class Positions, class Attention>
struct reservoir_worth {
  Positions positions;
  Attention attention;
  std::uint32_t candidate;  ///< its position; the start part lies below it
  bool accepted;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const {
    bool const start = positions[slot] < candidate;
    bool const leaves = positions[slot] == candidate && !accepted;
    float const kept = start && accepted ? attention[slot] : 2.0f;
    return leaves ? -1.0f : kept;
  }
};

}  // namespace detail

/// StreamingLLM with reservoir sampling: the tokens that leave the recent window may be taken in among the first.
///
/// The `sinks` held tokens of lowest position are the start part, whatever positions they hold, the rest is the recent part: what
/// a slot belongs to follows from the positions, so that nothing has to be stored. The oldest token of the recent part is the
/// candidate, p the attention that the newest query pays it, r a draw. r > p: it goes. r <= p: the token of the start part with
/// the lowest attention goes, and the candidate becomes the last of that part.
///
/// Draws are supplied, or counted from (seed, layer, sequence, head, newest position): the same on every executor. One is used per
/// decision, not per token. Reads the positions of a head 34 times and its last_attention once.
struct reservoir_attention {
  std::uint32_t sinks = 4;
  std::uint64_t seed = 0;
  supplied_draws draws{};

  static constexpr auto columns() { return column_set<last_attention>{}; }

  template <cooperative_group G, class Use>
  KVSIFT_HOST_DEVICE void prepare(G const& g, auto const& row, std::uint32_t* words, Use const& use) const {
    auto const attention = row.template get<last_attention>();
    detail::positions_of_slots<decltype(row.positions)> const position{row.positions};
    std::uint32_t const n = row.about.held;
    selection_cut const start = select_lowest(g, position, position, n, sinks, words);
    std::uint64_t oldest = ~std::uint64_t{0};
    for (std::uint32_t i = g.thread_rank(); i < n; i += g.num_threads()) {
      std::uint64_t const mine = (static_cast<std::uint64_t>(position(i)) << 32) | i;
      bool const first = !start.nothing && start.holds(position(i), position(i));
      oldest = !first && mine < oldest ? mine : oldest;
    }
    oldest = group_min(g, words, oldest);
    std::uint32_t const candidate = static_cast<std::uint32_t>(oldest >> 32);
    bool accepted = true;  // a head that has no recent part has no candidate
    if (oldest != ~std::uint64_t{0}) accepted = draw(row.about) <= attention[static_cast<std::uint32_t>(oldest)];
    use(detail::reservoir_worth<decltype(row.positions), decltype(attention)>{row.positions, attention, candidate, accepted});
  }
  friend constexpr bool operator==(reservoir_attention const&, reservoir_attention const&) = default;

 private:
  KVSIFT_HOST_DEVICE float draw(head_context const& about) const {
    std::uint32_t const token = about.next - 1;
    if (draws.has(token)) return draws(token, about.layer, about.head);
    return counter_random{seed}.uniform(token, about.layer, (about.sequence << 16) ^ about.head);
  }
};

}  // namespace kvsift
