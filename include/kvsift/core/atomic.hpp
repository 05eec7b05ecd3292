#pragma once

#include <cstdint>

#include <kvsift/core/config.hpp>

namespace kvsift {

/// word &= mask, at once for all threads of all blocks; what it was before. Others that saw a bit appear (set_bits) see what
/// was written before it did.
KVSIFT_HOST_DEVICE inline std::uint32_t keep_bits(std::uint32_t& word, std::uint32_t mask) {
#if defined(__CUDA_ARCH__)
  std::uint32_t const before = atomicAnd(&word, mask);
  __threadfence();
  return before;
#else
  return __atomic_fetch_and(&word, mask, __ATOMIC_ACQ_REL);
#endif
}

/// word |= mask, likewise.
KVSIFT_HOST_DEVICE inline void set_bits(std::uint32_t& word, std::uint32_t mask) {
#if defined(__CUDA_ARCH__)
  __threadfence();
  atomicOr(&word, mask);
#else
  __atomic_fetch_or(&word, mask, __ATOMIC_ACQ_REL);
#endif
}

/// word += value, at once for all threads; what it was before. Orders nothing else: who reads the sum waits for the others first.
KVSIFT_HOST_DEVICE inline std::uint32_t add_to(std::uint32_t& word, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  return atomicAdd(&word, value);
#else
  return __atomic_fetch_add(&word, value, __ATOMIC_RELAXED);
#endif
}

/// The word as it is now; other threads may be changing it.
KVSIFT_HOST_DEVICE inline std::uint32_t peek(std::uint32_t const& word) {
#if defined(__CUDA_ARCH__)
  return *const_cast<std::uint32_t const volatile*>(&word);
#else
  return __atomic_load_n(&word, __ATOMIC_RELAXED);
#endif
}

}  // namespace kvsift
