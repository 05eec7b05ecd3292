#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/column/signature.hpp>
#include <kvsift/core/bits.hpp>
#include <kvsift/exec/group.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

namespace detail {

/// Minus the bits in which a slot's code, a Word, differs from `code`.
template <class Word, class Places>
struct word_distance {
  std::uint8_t const* codes;
  Places places;
  Word code;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const {
    Word mine;
    __builtin_memcpy(&mine, codes + places(slot) * sizeof(Word), sizeof(Word));
    using counted = std::conditional_t<sizeof(Word) == 8, std::uint64_t, std::uint32_t>;
    return -static_cast<float>(static_cast<std::int32_t>(bit_count(static_cast<counted>(mine ^ code))));
  }
};

/// The same for codes of 3, 5, 6 or 7 bytes.
template <class Codes>
struct byte_distance {
  Codes codes;
  std::uint8_t const* code;
  std::uint32_t width;

  KVSIFT_HOST_DEVICE KVSIFT_INLINE float operator()(std::uint32_t slot) const {
    std::uint8_t const* const mine = codes.at(slot);
    std::uint64_t differing = 0;
    for (std::uint32_t u = 0; u < width; ++u) differing |= static_cast<std::uint64_t>(mine[u] ^ code[u]) << (8 * u);
    return -static_cast<float>(static_cast<std::int32_t>(bit_count(differing)));
  }
};

}  // namespace detail

/// Minus the Hamming distance between a slot's signature and the arriving token's: of its key, or with `by_query` of the
/// mean of its group's queries. The slot that resembles it least goes first; equals are the rule. LSH-E (arXiv 2412.16187).
/// Legal at before_append only. Costs 8 x width x head_dim multiplications a decision, then the codes are read once.
struct hamming {
  signature kept{};
  bool by_query = false;

  constexpr auto columns() const { return column_set<signature>{kept}; }
  constexpr arriving looks_at() const { return by_query ? arriving::queries : arriving::key; }

  template <cooperative_group G, class Use>
  KVSIFT_HOST_DEVICE void prepare(G const& g, auto const& row, std::uint32_t* words, Use const& use) const {
    signature const& column = row.template stored<signature>();
    arrival const& token = row.token;
    std::uint32_t const width = column.width();
    std::uint8_t* const code = reinterpret_cast<std::uint8_t*>(words);
    g.sync();
    for (std::uint32_t u = g.thread_rank(); u < width; u += g.num_threads())
      code[u] = by_query ? column.eight_bits(detail::sum_of_vectors{token.queries, token.group, token.head_dim}, token.head_dim, u)
                         : column.eight_bits(detail::one_vector{token.key}, token.head_dim, u);
    g.sync();
    auto const codes = row.template get<signature>();
    using places = decltype(codes.places);
    switch (width) {
      case 1: return use(detail::word_distance<std::uint8_t, places>{codes.base, codes.places, code[0]});
      case 2: return use(detail::word_distance<std::uint16_t, places>{codes.base, codes.places, as<std::uint16_t>(code)});
      case 4: return use(detail::word_distance<std::uint32_t, places>{codes.base, codes.places, as<std::uint32_t>(code)});
      case 8: return use(detail::word_distance<std::uint64_t, places>{codes.base, codes.places, as<std::uint64_t>(code)});
      default: use(detail::byte_distance<decltype(codes)>{codes, code, width});
    }
  }
  friend constexpr bool operator==(hamming const&, hamming const&) = default;

 private:
  template <class Word>
  KVSIFT_HOST_DEVICE static Word as(std::uint8_t const* bytes) {
    Word w;
    __builtin_memcpy(&w, bytes, sizeof w);
    return w;
  }
};

}  // namespace kvsift
