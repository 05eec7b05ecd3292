#pragma once

#include <cstddef>
#include <cstdint>

#include <kvsift/cache/storage.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// Turns the keys of every slot that came down by one rank, in place, by one position. One block per (sequence, KV head).
template <class Bound>
struct rerotate_task {
  Bound cache;
  std::uint32_t first_layer = 0;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const index = cache.row_of(first_layer, block);
    auto const row = cache.planes.row(index);
    std::uint32_t const fell = cache.planes.fell[index];
    g.sync();
    if (fell == 0) return;  // the same for all threads
    for (std::uint32_t slot = g.thread_rank(); slot < row.state->held; slot += g.num_threads())
      if (row.ranks[slot] >= fell - 1) cache.reading.table.turn(reinterpret_cast<float*>(row.keys.at(slot)), 1, -1);
    g.sync();
    if (g.thread_rank() == 0) cache.planes.fell[index] = 0;
  }
};

/// Ranks as positions, as in_cache_positions has them, with keys that are stored rotated to their rank: when a token goes, those behind
/// it are turned by one position; where a prompt is cut, survivors are turned as they are written. For attention that takes rotated keys
/// alone, over any policy that acts at prompt_end or after attention.
/// Reads and writes every such key once a token; in_cache_positions, which turns keys as they are read, writes none. A key is turned once
/// for each place that it comes down, and roundings add up: vectors are stored in fp32. One launch more in `evict`, capturable.
struct rerotated_positions {
  rotary_encoding encoding{};

  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = true;
  static constexpr bool settles = true;

  static constexpr std::uint32_t next(std::uint32_t /*seen*/, std::uint32_t held) { return held; }
  rotary_table table(cache_shape const& shape, std::uint32_t /*slots*/) const { return rotary_table::of_digits(encoding, shape.head_dim); }
  static constexpr key_reading reading(rotary_view const& table) { return {.ranked = true, .turned = true, .table = table}; }

  static constexpr void check(std::uint32_t /*slots*/) {}
  static constexpr std::size_t block_bytes(cache_shape const&) { return 0; }
  template <executor Executor, class Bound>
  void realign(Executor const& on, Bound const& cache, std::uint32_t first_layer, std::uint32_t layers, std::byte* /*workspace*/) const {
    on.launch(layers * cache.layer_rows(), rerotate_task<Bound>{cache, first_layer});
  }
  friend constexpr bool operator==(rerotated_positions const&, rerotated_positions const&) = default;
};

}  // namespace kvsift
