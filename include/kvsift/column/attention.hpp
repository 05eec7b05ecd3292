#pragma once

#include <cstdint>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/exact.hpp>

namespace kvsift {

namespace detail {

/// One float a slot, stored or not.
struct float_column {
  using element = float;
  static constexpr bool feeds_on_attention = true;
  static constexpr std::uint32_t width_if_stored = 1;
  bool stored = true;

  KVSIFT_HOST_DEVICE constexpr std::uint32_t width() const { return stored ? 1 : 0; }
  constexpr void drop() { stored = false; }
  friend constexpr bool operator==(float_column const&, float_column const&) = default;

 protected:
  constexpr bool unite(float_column const& other) {
    stored = stored || other.stored;
    return true;
  }
};

}  // namespace detail

/// Sum of the attention that a slot received since its token arrived, its own query included. 4 bytes a slot.
struct attention_sum : detail::float_column {
  static constexpr char const* name = "attention_sum";
  static constexpr mass_part reads = mass_part::sum;
  constexpr bool merge(attention_sum const& other) { return unite(other); }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const { *e = 0; }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const&) const { *e += m.sum; }
};

/// Sum of the squares of that attention. 4 bytes a slot.
struct attention_square_sum : detail::float_column {
  static constexpr char const* name = "attention_square_sum";
  static constexpr mass_part reads = mass_part::squares;
  constexpr bool merge(attention_square_sum const& other) { return unite(other); }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const { *e = 0; }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const&) const { *e += m.squares; }
};

/// Attention of the newest query. 4 bytes a slot.
struct last_attention : detail::float_column {
  static constexpr char const* name = "last_attention";
  static constexpr mass_part reads = mass_part::last;
  constexpr bool merge(last_attention const& other) { return unite(other); }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const { *e = 0; }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const&) const { *e = m.last; }
};

/// Attention received from the last `queries` queries of a prompt, summed over them for each query head and then reduced
/// over the group: the observation window of the prompt compressors. 4 bytes a slot.
struct window_attention : detail::float_column {
  static constexpr char const* name = "window_attention";
  static constexpr mass_part reads = mass_part::window;
  std::uint32_t queries = 16;
  group_reduction reduce = group_reduction::mean;

  constexpr window_attention() = default;
  constexpr explicit window_attention(std::uint32_t q, group_reduction r = group_reduction::mean)
      : float_column{q != 0}, queries(q), reduce(r) {}
  constexpr bool merge(window_attention const& other) {
    if (!other.stored) return true;
    if (stored && (queries != other.queries || reduce != other.reduce)) return false;
    queries = other.queries;
    reduce = other.reduce;
    return unite(other);
  }
  KVSIFT_HOST_DEVICE constexpr void ask(asked_evidence& of) const {
    if (!stored) return;
    of.window = queries;
    of.window_reduction = reduce;
  }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const { *e = 0; }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const&) const { *e = m.window; }
  friend constexpr bool operator==(window_attention const&, window_attention const&) = default;
};

/// Attention that a slot received from the queries of a prompt while it was young: its own token's and those of the tokens
/// behind it, slots_of_part(part, tokens of the prompt) in all. What a sliding window of that length would have seen of it. 4
/// bytes a slot.
struct young_attention : detail::float_column {
  static constexpr char const* name = "young_attention";
  static constexpr mass_part reads = mass_part::young;
  double part = 0;

  constexpr young_attention() : float_column{false} {}
  constexpr explicit young_attention(double p) : float_column{p > 0}, part(p) {}
  constexpr bool merge(young_attention const& other) {
    if (!other.stored) return true;
    if (stored && part != other.part) return false;
    part = other.part;
    return unite(other);
  }
  KVSIFT_HOST_DEVICE constexpr void ask(asked_evidence& of) const {
    if (stored) of.young = part;
  }
  KVSIFT_HOST_DEVICE void admit(float* e, arrival const&, head_context const&) const { *e = 0; }
  KVSIFT_HOST_DEVICE void observe(float* e, mass const& m, head_context const&) const { *e += m.young; }
  friend constexpr bool operator==(young_attention const&, young_attention const&) = default;
};

}  // namespace kvsift
