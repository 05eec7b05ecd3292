#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include <kvsift/column/attention.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/core/half.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/position/concepts.hpp>
#include <kvsift/scope/concepts.hpp>
#include <kvsift/score/concepts.hpp>

// What a user may legally write, and a library that is careless about it gets wrong.
namespace hostile {

// Found by argument-dependent lookup for everything that has one of these types in its name.
template <class T>
void operator&(T const&) = delete;
template <class T, class U>
void operator,(T const&, U const&) = delete;

/// Three bytes a slot that tell the position: no float, no power of two, and of size 1.
struct origin {
  using element = std::uint8_t;
  static constexpr bool feeds_on_attention = false;
  void operator&() const = delete;

  static constexpr std::uint32_t width() { return 3; }
  static constexpr bool merge(origin const&) { return true; }
  void admit(element* e, kvsift::arrival const& token, kvsift::head_context const& head) const {
    e[0] = static_cast<element>(token.position);
    e[1] = static_cast<element>(token.position ^ 0x5a);
    e[2] = static_cast<element>(head.head);
  }
  void observe(element*, kvsift::mass const&, kvsift::head_context const&) const {}
  friend constexpr bool operator==(origin const&, origin const&) { return true; }
};

/// Eight bytes a slot with an alignment of eight.
struct exact_sum {
  using element = double;
  static constexpr bool feeds_on_attention = true;

  static constexpr std::uint32_t width() { return 1; }
  static constexpr bool merge(exact_sum const&) { return true; }
  void admit(element* e, kvsift::arrival const&, kvsift::head_context const&) const { *e = 0; }
  void observe(element* e, kvsift::mass const& m, kvsift::head_context const&) const { *e += static_cast<double>(m.sum); }
  friend constexpr bool operator==(exact_sum const&, exact_sum const&) { return true; }
};

/// NaN, infinities, both zeros and few other values.
struct wild_score {
  static constexpr auto columns() { return kvsift::column_set<origin, exact_sum, kvsift::attention_sum>{}; }
  float operator()(auto const& row, std::uint32_t slot) const {
    std::uint32_t const p = row.template get<origin>()[slot][0];
    if (row.template get<exact_sum>()[slot] < 0) return 0;
    switch (p * 7 % 6) {
      case 0: return NAN;
      case 1: return -INFINITY;
      case 2: return INFINITY;
      case 3: return -0.0f;
      case 4: return 0.0f;
      default: return static_cast<float>(p % 3) - 1;
    }
  }
  friend constexpr bool operator==(wild_score const&, wild_score const&) { return true; }
};

/// Looks at the arriving key and the first and last of its queries, remembers the wanted byte in words, and scores by a function
/// that is neither default constructible nor assignable.
struct likeness {
  template <class Tags>
  struct to {
    Tags tags;
    std::uint8_t const wanted;
    to(Tags const& t, std::uint8_t w) : tags(t), wanted(w) {}
    to(to const&) = delete;
    void operator&() const = delete;
    float operator()(std::uint32_t slot) const { return tags[slot][0] % 5 == wanted ? NAN : static_cast<float>(tags[slot][0] % 3); }
  };
  static constexpr auto columns() { return kvsift::column_set<origin>{}; }
  static constexpr auto looks_at() { return kvsift::arriving::queries; }
  template <class G>
  void prepare(G const& g, auto const& row, std::uint32_t* words, auto const& use) const {
    g.sync();
    if (g.thread_rank() == 0) {
      float const last = row.token.queries[(row.token.group - 1) * row.token.head_dim];
      words[0] = static_cast<std::uint32_t>(16.0f * (row.token.key[0] + row.token.queries[0] + last) + 96.0f) % 5;
      words[1] = 0;
    }
    g.sync();
    auto const tags = row.template get<origin>();
    use(to<decltype(tags)>{tags, static_cast<std::uint8_t>(words[0] + words[1])});
  }
  friend constexpr bool operator==(likeness const&, likeness const&) { return true; }
};

/// Ranks of the same kind: most of them NaN.
struct wild_scope {
  std::uint32_t count = 0;
  static constexpr auto columns() { return kvsift::column_set<origin>{}; }
  constexpr std::uint32_t excluded() const { return count; }
  float operator()(auto const& row, std::uint32_t slot) const {
    std::uint32_t const p = row.template get<origin>()[slot][0];
    return p % 4 == 0 ? INFINITY : p % 4 == 1 ? -INFINITY : NAN;
  }
  friend constexpr bool operator==(wild_scope const&, wild_scope const&) = default;
};

/// A vector of odd size that begins with three bytes of its own; nothing in it is aligned.
struct odd_payload {
  static constexpr std::size_t bytes(std::uint32_t dim) { return 3 + 2 * std::size_t{dim}; }
  static void load(std::byte const* vector, std::size_t first, kvsift::lanes& out) {
    float x[kvsift::lane_count];
    for (std::size_t i = 0; i < kvsift::lane_count; ++i) x[i] = load(vector, first + i);
    out.load(x);
  }
  static float load(std::byte const* vector, std::size_t i) {
    kvsift::fp16 h;
    std::memcpy(std::addressof(h), vector + 3 + 2 * i, sizeof h);
    return kvsift::to_float(h);
  }
  static void store(auto const& g, std::byte* vector, float const* x, std::uint32_t dim) {
    for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads()) {
      kvsift::fp16 h;
      kvsift::from_float(x[i], h);
      std::memcpy(vector + 3 + 2 * std::size_t{i}, std::addressof(h), sizeof h);
    }
  }
};

/// Another limit for every head of every layer.
struct staircase {
  std::uint32_t limit(kvsift::cache_shape const& shape, std::uint32_t layer, std::uint32_t head) const {
    return 2 + 3 * ((layer * shape.kv_heads + head) * 5 % 7);
  }
  friend constexpr bool operator==(staircase const&, staircase const&) = default;
};

/// Ranks, but encoded keys and no rotation.
struct counted_positions {
  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = true;
  static constexpr std::uint32_t next(std::uint32_t seen, std::uint32_t held) { return seen - held; }
  kvsift::rotary_table table(kvsift::cache_shape const&, std::uint32_t) const { return {}; }
  kvsift::key_reading reading(kvsift::rotary_view const&) const { return {.ranked = true}; }
};

/// Blocks from the last to the first.
struct backwards_executor {
  using is_executor = void;
  void operator&() const = delete;
  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    while (blocks-- > 0) task(kvsift::serial_group{}, blocks);
  }
};

}  // namespace hostile
