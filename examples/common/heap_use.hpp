#pragma once
// Bytes that the C library's allocator has handed out and not got back.
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <cstddef>

namespace programs {

// 0 where the allocator does not tell.
inline std::size_t heap_in_use() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 const all = ::mallinfo2();
  return all.uordblks + all.hblkhd;  // in arenas, and mapped one by one
#else
  return 0;
#endif
}

// What came on top since it was made: looked at whenever it is told to.
class heap_growth {
 public:
  heap_growth() : before_(heap_in_use()) {}
  void look() {
    std::size_t const now = heap_in_use();
    steady_ = now > before_ ? now - before_ : 0;
    peak_ = std::max(peak_, steady_);
  }
  std::size_t peak() const { return peak_; }      // the most of all looks
  std::size_t steady() const { return steady_; }  // of the last

 private:
  std::size_t before_, peak_ = 0, steady_ = 0;
};

}  // namespace programs
