#pragma once

#include <algorithm>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/evict/plan.hpp>

// Sequences of a cache come and go by themselves: each has counts of its own, and a verb works on those that it is given.
namespace kvsift {

/// `count` sequences of a cache from `first` on.
struct sequence_range {
  std::uint32_t first = 0;
  std::uint32_t count = 1;
  bool named = false;  ///< by the caller: paused or not. Where nobody named them, verbs pass over those that are paused
};

/// Slots that two heads of a layer and sequence hold: the one with the highest limit, and the one with the lowest; under a measured budget,
/// heads that came out even; and the tokens that came. Kept on the host: the device is never asked. Equal: of those that go on alike.
struct slots_held {
  std::uint32_t most = 0;
  std::uint32_t least = 0;
  std::uint32_t seen = 0;  ///< tokens that came, whatever is held of them
  friend constexpr bool operator==(slots_held const& a, slots_held const& b) { return a.most == b.most && a.least == b.least; }
};

/// One layer of some sequences of a cache: what append, attend, observe, compress and step work on. What they ask of it, and count in it,
/// is of those sequences that they do not pass over.
template <class Cache>
struct cache_rows {
  Cache& cache;
  std::uint32_t layer;
  sequence_range who;

  cache_rows of(sequence_range some) const { return {cache, layer, some}; }
  /// The cache as a task over these rows is given it.
  auto bound() const { return cache.bound_to(who); }

  /// Calls f(slots_held, sequence).
  template <class F>
  void each(F const& f) const {
    for (std::uint32_t s = who.first; s < who.first + who.count; ++s)
      if (cache.takes_part(who, s)) f(cache.counted(layer, s), s);
  }
  /// Calls f(rows, key) for sequences that follow one another and of which key(slots_held) is the same, whoever is paused between them.
  template <class Key, class F>
  void alike(Key const& key, F const& f) const {
    std::uint32_t from = who.first, end = who.first + who.count;
    while (from < end && !cache.takes_part(who, from)) ++from;
    if (from == end) return;
    auto same = key(cache.counted(layer, from));
    from = who.first;
    for (std::uint32_t s = from; s < end; ++s) {
      if (!cache.takes_part(who, s)) continue;
      if (auto const next = key(cache.counted(layer, s)); !(next == same)) {
        f(of({from, s - from, who.named}), same);
        from = s;
        same = next;
      }
    }
    f(of({from, end - from, who.named}), same);
  }
  /// Of those that go on alike: what the first of them holds.
  slots_held held() const {
    for (std::uint32_t s = who.first; s < who.first + who.count; ++s)
      if (cache.takes_part(who, s)) return cache.counted(layer, s);
    return {};
  }
  std::uint32_t next_piece(std::uint32_t tokens) const {
    return kvsift::next_piece(cache.policy().facts().stride, cache.slots().least[layer], held().least, tokens);
  }

  bool full(slots_held const& n) const { return n.most >= cache.slots().most_room[layer] || n.least >= cache.slots().least_room[layer]; }
  bool over(slots_held const& n) const { return n.most > cache.slots().most[layer] || n.least > cache.slots().least[layer]; }
  void count_arrived(std::uint32_t tokens) const {
    each([&](slots_held& n, std::uint32_t) {
      n.seen += tokens;
      n.most = std::min(n.most + tokens, cache.slots().most_room[layer]);
      n.least = std::min(n.least + tokens, cache.slots().least_room[layer]);
    });
  }
  /// Heads that a piece of `tokens` brought over their limit give up as many slots.
  void count_piece(std::uint32_t tokens) const {
    each([&](slots_held& n, std::uint32_t) {
      if (n.most > cache.slots().most[layer]) n.most -= tokens;
      if (n.least > cache.slots().least[layer]) n.least -= tokens;
    });
  }
  void count_cut(std::uint32_t room) const {
    each([&](slots_held& n, std::uint32_t) {
      n.most = std::min(n.most, cache.slots().most[layer] - room);
      n.least = std::min(n.least, cache.slots().least[layer] - room);
    });
  }
  void count_prompt(std::uint32_t tokens) const {
    each([&](slots_held& n, std::uint32_t) { n = {tokens, tokens, n.seen + tokens}; });
    count_cut(0);
  }
};

/// Some sequences of a cache: what evict, make_room, clear, pause and resume work on. [layer] is one layer of them.
template <class Cache>
struct cache_part {
  Cache& cache;
  sequence_range who;

  cache_rows<Cache> layer(std::uint32_t l) const { return {cache, l, who}; }
  cache_rows<Cache> operator[](std::uint32_t l) const { return layer(l); }
};

}  // namespace kvsift
