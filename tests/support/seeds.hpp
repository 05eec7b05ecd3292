#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace support {

/// The number in an environment variable; nothing if it is not set.
inline std::optional<std::uint64_t> number_from(char const* variable, char const* wanted) {
  char const* const given = std::getenv(variable);
  if (given == nullptr) return std::nullopt;
  char* end = nullptr;
  std::uint64_t const number = std::strtoull(given, &end, 10);
  if (end == given || *end != '\0') {
    std::string what = variable;
    what += ": '";
    what += given;
    what += "' is not a number; give ";
    throw std::runtime_error(what += wanted);
  }
  return number;
}

/// KVSIFT_FEWER_SEEDS=n, or 1: only an nth of the seeds is taken, rounded up. A build under a sanitizer repeats so what another has passed
/// with all.
inline std::size_t fewer() {
  return std::max<std::size_t>(1, number_from("KVSIFT_FEWER_SEEDS", "n to take an nth of the seeds").value_or(1));
}

/// More often than this has something to occur among all seeds; among fewer, once.
inline int often(int count) { return fewer() > 1 ? 0 : count; }

/// Seeds first .. first + count - 1, or the first of them with KVSIFT_FEWER_SEEDS, or the one in the environment variable KVSIFT_SEED.
inline std::vector<std::uint64_t> seeds(std::size_t count, std::uint64_t first = 1) {
  if (auto const seed = number_from("KVSIFT_SEED", "one seed in decimal")) return {*seed};
  std::size_t const part = fewer();
  std::vector<std::uint64_t> list;
  for (std::size_t i = 0; i * part < count; ++i) list.push_back(first + i);
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
