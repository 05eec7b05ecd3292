#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace reference_model {

/// An owned array of floats on a 64-byte boundary, uninitialised. The shape stands where it is declared.
class floats {
 public:
  floats() = default;
  explicit floats(std::size_t size)
      : size_(size), data_(static_cast<float*>(::operator new[](size * sizeof(float), boundary))) {}

  float* data() { return data_.get(); }
  float const* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr std::align_val_t boundary{64};
  struct free_memory {
    void operator()(float* p) const { ::operator delete[](p, boundary); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<float[], free_memory> data_;
};

}  // namespace reference_model
