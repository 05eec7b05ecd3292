#pragma once

#include <cstddef>

#include <kvsift/cache/memory.hpp>

namespace reference_model {

/// An owned array of T in the memory that a transformer works in, uninitialised. The shape stands where it is declared.
template <class T, kvsift::cache_memory Memory>
class buffer {
 public:
  buffer() = default;
  buffer(Memory const& memory, std::size_t size) : block_(memory.allocate(size * sizeof(T))) {}

  T* data() const { return reinterpret_cast<T*>(block_.data()); }
  std::size_t size() const { return block_.size() / sizeof(T); }

 private:
  typename Memory::block block_;
};

}  // namespace reference_model
