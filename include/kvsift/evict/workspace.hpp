#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <kvsift/cache/storage.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/evict/plan.hpp>
#include <kvsift/evict/scratch.hpp>

namespace kvsift {

/// No vector is stored: the staging rows of a prompt keep columns only, keys and values stay where the caller has them.
struct no_payload {
  KVSIFT_HOST_DEVICE static constexpr std::size_t bytes(std::uint32_t) { return 0; }
};

/// The memory of the verbs. One routine lays it out: with a null base it counts, with memory it carves.
template <class Columns>
struct workspace_view {
  std::byte* blocks = nullptr;   ///< [layer rows, block_bytes], each a row_scratch
  std::size_t block_bytes = 0;
  std::size_t slots = 0;         ///< that a block's scratch is made for
  std::uint32_t threads = 1;     ///< the most threads of a group
  float* sums = nullptr;         ///< [layers x sequences, 2, slots], where heads decide together
  std::uint32_t* words = nullptr;  ///< [rows, 2 x threads]
  cache_view<no_payload, Columns> staging;  ///< columns of a prompt in flight
  std::size_t bytes = 0;

  static workspace_view carve(std::byte* base, cache_shape const& shape, Columns const& stored, std::uint32_t capacity,
                              cache_options const& options) {
    workspace_view w;
    w.slots = std::max<std::size_t>(options.max_piece, capacity);
    w.threads = options.group_threads;
    w.block_bytes = row_scratch::carve(nullptr, shape, w.slots, w.threads).bytes;
    auto const take = [&](std::size_t count) {
      std::byte* const at = base == nullptr ? nullptr : base + w.bytes;
      w.bytes += (count + 63) / 64 * 64;
      return at;
    };
    cache_shape one_layer = shape;
    one_layer.layers = 1;
    cache_bytes unused;
    std::size_t staging = 0;
    w.blocks = take(w.block_bytes * shape.layer_rows());
    w.sums = reinterpret_cast<float*>(take(std::size_t{shape.layers} * shape.sequences * 2 * w.slots * sizeof(float)));
    w.words = reinterpret_cast<std::uint32_t*>(take(std::size_t{shape.rows()} * 2 * w.threads * sizeof(std::uint32_t)));
    lay_out<no_payload>(nullptr, one_layer, stored, options.max_piece, false, layout::dense, unused, staging);
    w.staging = lay_out<no_payload>(take(staging), one_layer, stored, options.max_piece, false, layout::dense, unused, staging);
    return w;
  }
  KVSIFT_HOST_DEVICE row_scratch block(cache_shape const& shape, std::uint32_t index) const {
    return row_scratch::carve(blocks + index * block_bytes, shape, slots, threads);
  }
};

/// A cache as its tasks are given it. Trivially copyable.
template <class Payload, class Columns, class Disposal>
struct bound_cache {
  cache_view<Payload, Columns> planes;
  workspace_view<Columns> work;
  rotary_view rotary;  ///< applied on reading; empty if keys are stored encoded
  Disposal disposal;

  /// The scratch of a block, by its number within the layer.
  KVSIFT_HOST_DEVICE row_scratch scratch(std::uint32_t block) const { return work.block(planes.shape, block); }
};

}  // namespace kvsift
