#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace support {

/// Seeds first .. first + count - 1, or the one in the environment variable KVSIFT_SEED.
inline std::vector<std::uint64_t> seeds(std::size_t count, std::uint64_t first = 1) {
  if (char const* const given = std::getenv("KVSIFT_SEED")) {
    char* end = nullptr;
    std::uint64_t const seed = std::strtoull(given, &end, 10);
    if (end == given || *end != '\0') {
      throw std::runtime_error("KVSIFT_SEED: '" + std::string(given) + "' is not a number; give one seed in decimal");
    }
    return {seed};
  }
  std::vector<std::uint64_t> list;
  for (std::size_t i = 0; i < count; ++i) list.push_back(first + i);
  return list;
}

/// Runs body(seed) for every seed; a check that fails in it prints the seed to run again.
template <class Body>
void for_each_seed(std::size_t count, Body body) {
  for (std::uint64_t const seed : seeds(count)) {
    INFO("again with KVSIFT_SEED=" << seed);
    body(seed);
  }
}

}  // namespace support
