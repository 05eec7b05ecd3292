#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// Threads that run one text together. With one thread it is the CPU implementation, with a CUDA block the kernel body,
/// and on host threads with a barrier a test double of a block.
/// Rules of the text: stride loops from thread_rank() by num_threads(); nobody leaves before a sync(); what one thread
/// wrote is read by another only after a sync(); sums in fixed lanes, never by thread.
template <class G>
concept cooperative_group = requires(G const& g) {
  { g.thread_rank() } -> std::convertible_to<std::uint32_t>;
  { g.num_threads() } -> std::convertible_to<std::uint32_t>;
  g.sync();
};

/// The group of one thread.
struct serial_group {
  KVSIFT_HOST_DEVICE static constexpr std::uint32_t thread_rank() { return 0; }
  KVSIFT_HOST_DEVICE static constexpr std::uint32_t num_threads() { return 1; }
  KVSIFT_HOST_DEVICE static constexpr void sync() {}
};

}  // namespace kvsift
