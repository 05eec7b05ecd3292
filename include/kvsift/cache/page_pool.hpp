#pragma once

#include <cstdint>

#include <kvsift/core/atomic.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// The pages of a cache that no row uses, one bit each, beside the data: rows of all blocks take and give back at once
/// without waiting for one another. There are as many pages as rows may come to have, so that one is always found. Which
/// one it is decides nothing. A take looks at the words from a row's own on, mostly at one.
struct page_pool {
  std::uint32_t* free = nullptr;  ///< [pages / 32, rounded up], bit i of word w is page 32 w + i
  std::uint32_t pages = 0;

  KVSIFT_HOST_DEVICE std::uint32_t words() const { return words_for(pages); }
  KVSIFT_HOST_DEVICE static constexpr std::uint32_t words_for(std::uint64_t pages) { return static_cast<std::uint32_t>((pages + 31) / 32); }

  /// All pages are free.
  KVSIFT_HOST_DEVICE void fill() const {
    for (std::uint32_t w = 0; w < words(); ++w) free[w] = pages - w * 32 < 32 ? (1u << (pages - w * 32)) - 1 : ~0u;
  }
  /// A page that was free and is not any more, near page `home` if there is one.
  KVSIFT_HOST_DEVICE std::uint32_t take(std::uint32_t home) const {
    for (std::uint32_t w = home / 32;; w = w + 1 < words() ? w + 1 : 0) {
      for (std::uint32_t left = peek(free[w]); left != 0; left &= left - 1) {
        std::uint32_t const bit = left & (~left + 1);
        if ((keep_bits(free[w], ~bit) & bit) != 0) return w * 32 + index_of(bit);
      }
    }
  }
  KVSIFT_HOST_DEVICE void give_back(std::uint32_t page) const { set_bits(free[page / 32], 1u << (page % 32)); }

 private:
  KVSIFT_HOST_DEVICE static std::uint32_t index_of(std::uint32_t bit) {
    std::uint32_t index = 0;
    while ((bit >>= 1) != 0) ++index;
    return index;
  }
};

}  // namespace kvsift
