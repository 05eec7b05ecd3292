#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/collective/select.hpp>
#include <kvsift/column/column_set.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/shape.hpp>

namespace kvsift {

/// Queries of a piece that one pass over the keys serves: as many as make sixteen query heads.
KVSIFT_HOST_DEVICE constexpr std::uint32_t queries_at_once(cache_shape const& shape) {
  return shape.group < 16 ? 16 / shape.group : 1;
}

/// What one block works with besides the cache. With a null base it only counts. A shorter piece takes less. Contents are
/// undefined between blocks.
/// window_heads: the group if an observation window is reduced by anything but the mean, else 0. more_words: see policy_facts::words.
struct row_scratch {
  float* queries = nullptr;        ///< [heads at once, head_dim], scaled; heads at once = queries at once x group
  float* logits = nullptr;         ///< [heads at once, pitch]
  float* partial = nullptr;        ///< [heads at once, head_dim]
  float* sums = nullptr;           ///< [heads at once, head_dim]
  float* lane_sums = nullptr;      ///< [8]
  float* evidence = nullptr;       ///< [5, pitch]: sum, squares, last, window, young
  float* window = nullptr;         ///< [window heads, pitch]: the window's sums of each query head
  std::uint32_t* keys = nullptr;   ///< [pitch]
  std::uint32_t* places = nullptr; ///< [pitch]
  std::uint32_t* group_words = nullptr;  ///< [2 x threads + more_words]
  selection_cut* cut = nullptr;    ///< of a prompt that several blocks share: slots of keys that it holds go
  std::size_t pitch = 0;           ///< slots rounded up to eight
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static row_scratch carve(std::byte* base, cache_shape const& shape, std::size_t slots,
                                              std::uint32_t threads, std::uint32_t piece, std::uint32_t window_heads,
                                              std::size_t more_words) {
    row_scratch s;
    s.pitch = (slots + 7) / 8 * 8;
    std::size_t const at_once = piece < queries_at_once(shape) ? piece : queries_at_once(shape);
    std::size_t const heads = at_once * shape.group;
    carver memory{base};
    s.queries = memory.take<float>(heads * shape.head_dim);
    s.logits = memory.take<float>(heads * s.pitch);
    s.partial = memory.take<float>(heads * shape.head_dim);
    s.sums = memory.take<float>(heads * shape.head_dim);
    s.lane_sums = memory.take<float>(8);
    s.evidence = memory.take<float>(5 * s.pitch);
    s.window = memory.take<float>(window_heads * s.pitch);
    s.keys = memory.take<std::uint32_t>(s.pitch);
    s.places = memory.take<std::uint32_t>(s.pitch);
    s.group_words = memory.take<std::uint32_t>(std::size_t{2} * threads + more_words);
    s.cut = memory.take<selection_cut>(1);
    s.bytes = memory.bytes;
    return s;
  }
};

}  // namespace kvsift
