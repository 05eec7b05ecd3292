#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

/// A file of the data folder beside the checkout: $KVSIFT_SHARED, or ../shared. It may be absent; see NEEDS_SHARED.
inline std::filesystem::path shared_file(std::string const& name) {
  if (char const* folder = std::getenv("KVSIFT_SHARED")) return std::filesystem::path(folder) / name;
#if defined(KVSIFT_SOURCE_DIR)
  return std::filesystem::path(KVSIFT_SOURCE_DIR) / ".." / "shared" / name;
#else
  return std::filesystem::path("../shared") / name;
#endif
}

/// Leaves a test, saying why, when a file of the data folder is absent.
#define NEEDS_SHARED(path)                                                            \
  do {                                                                                \
    if (!std::filesystem::exists(path)) {                                             \
      MESSAGE("skipped: ", (path).string(), " is absent (set KVSIFT_SHARED to it)"); \
      return;                                                                         \
    }                                                                                 \
  } while (false)
