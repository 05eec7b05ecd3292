#pragma once

#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <kvsift/exec/executor.hpp>

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

/// Where the memory of a cache comes from, and who can reach it. Asked when a cache is made, cleared by its member or copied, never by a verb.
///   space                  host_space, or that of the executors whose memory it is
///   block                  owns some of it: data(), size(); moves
///   allocate(bytes)        a block with undefined contents; throws std::bad_alloc, or what derives from it
///   copy_in(to, from, n)   n bytes from the host into a block; when it returns, `from` may be gone
///   copy_out(to, from, n)  n bytes of a block to the host, once all that was enqueued is done; returns when they are there
template <class M>
concept cache_memory = requires(M const& memory, typename M::block const& block, std::byte* device, void* host, std::size_t bytes) {
  typename M::space;
  { memory.allocate(bytes) } -> std::same_as<typename M::block>;
  { block.data() } -> std::convertible_to<std::byte*>;
  { block.size() } -> std::convertible_to<std::size_t>;
  memory.copy_in(device, host, bytes);
  memory.copy_out(host, device, bytes);
};

/// Whether the host itself reaches what M hands out.
template <class M>
inline constexpr bool is_host_memory = std::is_same_v<typename M::space, host_space>;

/// The host's memory: what a cache takes unless it is told otherwise.
struct main_memory {
  using space = host_space;
  using block = host_memory;

  block allocate(std::size_t bytes) const { return host_memory(bytes); }
  void copy_in(void* to, void const* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
  void copy_out(void* to, void const* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
};

/// Lets f(array) write `count` elements that end up at `to`: there directly, or by way of the host where `to` lies elsewhere.
template <cache_memory Memory, class T, class F>
void write_array(Memory const& memory, T* to, std::size_t count, F const& f) {
  if constexpr (is_host_memory<Memory>) {
    f(to);
  } else {
    std::vector<T> array(count);
    f(array.data());
    if (count != 0) memory.copy_in(reinterpret_cast<std::byte*>(to), array.data(), count * sizeof(T));
  }
}

}  // namespace kvsift
