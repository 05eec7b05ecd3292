#include <support/allocations.hpp>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVSIFT_TEST_KEEP_OPERATORS
#endif
#endif

namespace {

std::atomic<std::size_t> calls{0};

#ifndef KVSIFT_TEST_KEEP_OPERATORS

void* take(std::size_t size) noexcept {
  calls.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size ? size : 1);
}

void* take(std::size_t size, std::align_val_t alignment) noexcept {
  calls.fetch_add(1, std::memory_order_relaxed);
  std::size_t const a = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(a, (size + a - 1) / a * a + (size ? 0 : a));
}

void* or_throw(void* p) {
  if (!p) throw std::bad_alloc();
  return p;
}
#endif

}  // namespace

namespace support {
std::size_t allocation_count() { return calls.load(std::memory_order_relaxed); }

bool allocations_are_counted() {
#ifdef KVSIFT_TEST_KEEP_OPERATORS
  return false;
#else
  return true;
#endif
}
}  // namespace support

#ifndef KVSIFT_TEST_KEEP_OPERATORS
void* operator new(std::size_t size) { return or_throw(take(size)); }
void* operator new[](std::size_t size) { return or_throw(take(size)); }
void* operator new(std::size_t size, std::align_val_t a) { return or_throw(take(size, a)); }
void* operator new[](std::size_t size, std::align_val_t a) { return or_throw(take(size, a)); }
void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return take(size); }
void* operator new[](std::size_t size, std::nothrow_t const&) noexcept { return take(size); }
void* operator new(std::size_t size, std::align_val_t a, std::nothrow_t const&) noexcept { return take(size, a); }
void* operator new[](std::size_t size, std::align_val_t a, std::nothrow_t const&) noexcept { return take(size, a); }

void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::nothrow_t const&) noexcept { std::free(p); }
void operator delete[](void* p, std::nothrow_t const&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept { std::free(p); }
#endif
