#pragma once

#include <cstddef>

namespace support {

/// Calls of any global operator new by any thread of this program so far. A test binary that asks links
/// support/allocations.cpp, which replaces the global operators; allocations through malloc alone are not seen.
std::size_t allocation_count();

/// false under clang's thread sanitizer, which brings operators of its own: the count stays 0 there.
bool allocations_are_counted();

/// Counts the allocations since it was made.
class allocation_scope {
 public:
  allocation_scope() : before_(allocation_count()) {}
  std::size_t count() const { return allocation_count() - before_; }

 private:
  std::size_t before_;
};

}  // namespace support
