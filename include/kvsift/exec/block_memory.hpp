#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

// Memory that goes with a block, near its threads: CUDA's shared memory. A task that works in it says how much it wants, and
// executors whose groups have it hand over that much:
//
//   std::size_t block_bytes(std::uint32_t threads) const     of a block of so many threads; at most most_block_bytes
namespace kvsift {

/// Every device of compute capability 8.0 and later has as much.
inline constexpr std::size_t most_block_bytes = 96 * 1024;

/// A group with such memory: from a 64-byte boundary on, undefined at first. What one thread wrote is read by another after a sync().
template <class G>
concept group_with_memory = cooperative_group<G> && requires(G const& g) {
  { g.memory() } -> std::same_as<std::byte*>;
};

/// What a block of this task wants, 0 if it does not say.
template <class Task>
std::size_t block_bytes_of(Task const& task, std::uint32_t threads) {
  if constexpr (requires { task.block_bytes(threads); }) return task.block_bytes(threads);
  else return 0;
}

// Copies into a block's memory that are under way while the thread that asked for them goes on. A thread reads what it asked for itself
// once it has waited, what others asked for once they have waited and a sync() has followed. Copies are counted by batches; where a group
// has no such copies, they are there at once.

/// Asks for Bytes (8, or a multiple of 16) bytes, from a boundary of 8 or 16 bytes to one.
template <std::uint32_t Bytes, cooperative_group G>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void ask_for(G const& g, std::byte* to, std::byte const* from) {
  static_assert(Bytes == 8 || Bytes % 16 == 0);
  if constexpr (requires { g.template ask_for<Bytes>(to, from); }) g.template ask_for<Bytes>(to, from);
  else __builtin_memcpy(to, from, Bytes);
}
/// What this thread asked for since the last such call is a batch; it may be empty.
template <cooperative_group G>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void end_batch(G const& g) {
  if constexpr (requires { g.end_batch(); }) g.end_batch();
}
/// Returns when all batches of this thread but the newest Newest have arrived.
template <std::uint32_t Newest, cooperative_group G>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void wait_for_batches(G const& g) {
  if constexpr (requires { g.template wait_for_batches<Newest>(); }) g.template wait_for_batches<Newest>();
}

}  // namespace kvsift
