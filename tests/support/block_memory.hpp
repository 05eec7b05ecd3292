#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include <kvsift/exec/block_memory.hpp>

namespace support {

/// Memory of a block, without a number in it.
class block_memory {
 public:
  explicit block_memory(std::size_t bytes) : bytes_(bytes + 64, std::byte{0xff}) {}
  std::byte* data() {
    auto const address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (64 - address % 64) % 64;
  }

 private:
  std::vector<std::byte> bytes_;
};

/// A group with memory, one object a thread. Copies that a thread asked for come as late as they may: when it waits for them.
template <class Group>
class with_memory : public Group {
 public:
  with_memory(Group const& group, std::byte* memory) : Group(group), memory_(memory) {}
  std::byte* memory() const { return memory_; }

  template <std::uint32_t Bytes>
  void ask_for(std::byte* to, std::byte const* from) const {
    open_.push_back({to, from, Bytes});
  }
  void end_batch() const {
    batches_.push_back(open_);
    open_.clear();
  }
  template <std::uint32_t Newest>
  void wait_for_batches() const {
    for (; batches_.size() > Newest; batches_.pop_front())
      for (copy const& c : batches_.front()) std::memcpy(c.to, c.from, c.bytes);
  }

 private:
  struct copy {
    std::byte* to;
    std::byte const* from;
    std::size_t bytes;
  };
  std::byte* memory_;
  mutable std::vector<copy> open_{};
  mutable std::deque<std::vector<copy>> batches_{};
};

}  // namespace support
