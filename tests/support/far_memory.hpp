#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/exec/executor.hpp>

// A device without one: memory that the host must not touch, for it is mapped without access but while a task or a copy runs.
// Whoever follows a pointer into it between is killed.
namespace support {

struct far_space {};

/// Pages of memory, closed from the beginning.
class far_block {
 public:
  far_block() = default;
  explicit far_block(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* const at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(at);
    all().push_back(this);
  }
  far_block(far_block&& other) noexcept { *this = std::move(other); }
  far_block& operator=(far_block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    for (far_block*& b : all()) b = b == this ? &other : b == &other ? this : b;
    return *this;
  }
  ~far_block() {
    if (data_ == nullptr) return;
    munmap(data_, bytes_);
    std::erase(all(), this);
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }

  /// Whether some block holds what this points to.
  static bool holds(void const* pointer) {
    auto const* const p = static_cast<std::byte const*>(pointer);
    for (far_block const* b : all())
      if (b->data_ <= p && p < b->data_ + b->bytes_) return true;
    return false;
  }

  /// All of them are open as long as one of these lives.
  struct opened {
    opened() { protect(PROT_READ | PROT_WRITE); }
    ~opened() { protect(PROT_NONE); }
    opened(opened const&) = delete;

   private:
    static void protect(int how) {
      for (far_block const* b : all()) mprotect(b->data_, b->bytes_, how);
    }
  };

 private:
  static std::vector<far_block*>& all() {
    static std::vector<far_block*> blocks;
    return blocks;
  }
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Memory of that device. Counts what it is asked for.
struct far_memory {
  using space = far_space;
  using block = far_block;
  struct counts {
    std::size_t allocations = 0, copies_in = 0, copies_out = 0;
  };
  counts* counted;

  block allocate(std::size_t bytes) const {
    ++counted->allocations;
    return far_block(bytes);
  }
  void copy_in(void* to, void const* from, std::size_t bytes) const {
    ++counted->copies_in;
    far_block::opened const now;
    std::memcpy(to, from, bytes);
  }
  void copy_out(void* to, void const* from, std::size_t bytes) const {
    ++counted->copies_out;
    far_block::opened const now;
    std::memcpy(to, from, bytes);
  }
};

/// The device itself: one block after another.
struct far_executor {
  using is_executor = void;
  using space = far_space;
  std::uint32_t threads = 1;  ///< that it says it has

  std::uint32_t group_threads() const { return threads; }
  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    far_block::opened const now;
    kvsift::serial_executor{}.launch(blocks, task);
  }
};

}  // namespace support
