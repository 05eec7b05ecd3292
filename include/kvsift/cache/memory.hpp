#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace kvsift {

/// One block of host memory, on a 2 MiB boundary and marked for huge pages where it is large: walking a cache through
/// 4 KiB pages costs a tenth of the bandwidth. Owns it; moves, does not copy. Contents are undefined.
class host_memory {
 public:
  host_memory() = default;
  /// Throws std::bad_alloc if there is no such amount.
  explicit host_memory(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    std::size_t const boundary = bytes >= huge ? huge : 64;
    if (bytes > static_cast<std::size_t>(-1) / 2 - boundary) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(std::aligned_alloc(boundary, (bytes + boundary - 1) / boundary * boundary));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= huge) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  }
  host_memory(host_memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  host_memory& operator=(host_memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~host_memory() { std::free(data_); }

  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  static constexpr std::size_t huge = std::size_t{2} << 20;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace kvsift
