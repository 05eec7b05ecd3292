#pragma once
// What this machine's memory can do, measured in the process that uses it as a limit.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <vector>

#if defined(__SSE__)
#include <immintrin.h>
#endif

#include <kvsift/cache/memory.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/executor.hpp>

namespace bench {

// Seconds that body() takes by the clock on the wall.
template <class Body>
double seconds(Body const& body) {
  auto const begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Seconds of processor time that body() takes, of all threads together: for one thread on a machine that others use.
template <class Body>
double processor_seconds(Body const& body) {
  std::clock_t const begin = std::clock();
  body();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Reads blocks of bytes, each in four streams side by side as attention does, and adds them up. sums [blocks] makes the
// reads count.
struct read_task {
  std::byte const* memory;
  std::size_t block_bytes;  // a multiple of 512
  float* sums;

  void operator()(auto const&, std::uint32_t block) const {
    constexpr std::size_t streams = 4;
    std::size_t const part = block_bytes / streams / sizeof(float);
    float const* const from = reinterpret_cast<float const*>(memory + block * block_bytes);
    kvsift::lanes sum[2 * streams], next;
    for (kvsift::lanes& s : sum) s.fill(0);
    for (std::size_t i = 0; i < part; i += 2 * kvsift::lane_count) {
#pragma GCC unroll 8
      for (std::size_t s = 0; s < 2 * streams; ++s) {
        next.load(from + s / 2 * part + i + s % 2 * kvsift::lane_count);
        sum[s].add(next);
      }
    }
    for (kvsift::lanes const& s : sum) sums[block] += s.sum();
  }
};

// Copies blocks of bytes.
struct copy_task {
  std::byte* to;
  std::byte const* from;
  std::size_t block_bytes;

  void operator()(auto const&, std::uint32_t block) const {
    std::memcpy(to + block * block_bytes, from + block * block_bytes, block_bytes);
  }
};

// Copies blocks of bytes past the caches: nothing is read but what is copied. 64-byte boundaries.
struct streaming_copy_task {
  std::byte* to;
  std::byte const* from;
  std::size_t block_bytes;  // a multiple of 64

  void operator()(auto const&, std::uint32_t block) const {
#if defined(__SSE__)
    float* const target = reinterpret_cast<float*>(to + block * block_bytes);
    float const* const source = reinterpret_cast<float const*>(from + block * block_bytes);
    for (std::size_t i = 0; i < block_bytes / sizeof(float); i += 4) _mm_stream_ps(target + i, _mm_loadu_ps(source + i));
    _mm_sfence();
#else
    std::memcpy(to + block * block_bytes, from + block * block_bytes, block_bytes);
#endif
  }
};

// Bytes a second that an executor reads, and copies (counted once read and once written). Median of nine passes over
// memory that no cache holds.
struct bandwidths {
  double read = 0;
  double copy = 0;
};

template <class Executor>
bandwidths measure_bandwidths(Executor const& on) {
  constexpr std::uint32_t blocks = 64;
  constexpr std::size_t block_bytes = std::size_t{2} << 20;
  kvsift::host_memory const memory(2 * blocks * block_bytes);
  float* const numbers = reinterpret_cast<float*>(memory.data());
  for (std::size_t i = 0; i < memory.size() / sizeof(float); ++i) numbers[i] = static_cast<float>(i % 251);
  std::vector<float> sums(blocks);
  std::vector<double> read, copy;
  for (int pass = 0; pass < 9; ++pass) {
    read.push_back(seconds([&] { on.launch(blocks, read_task{memory.data(), block_bytes, sums.data()}); }));
    copy.push_back(seconds([&] {
      on.launch(blocks, copy_task{memory.data() + blocks * block_bytes, memory.data(), block_bytes});
    }));
  }
  double const bytes = static_cast<double>(blocks * block_bytes);
  return {bytes / median(read), 2 * bytes / median(copy)};
}

}  // namespace bench
