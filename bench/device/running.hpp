#pragma once
// A cache on a GPU in the middle of a generation, whatever it is made of: compiled by nvcc once for each storage, placement and policy.
#include <cstddef>
#include <cstdint>
#include <memory>

#include <cuda_runtime_api.h>

#include <bench/device/cases.hpp>
#include <bench/device/measure.hpp>
#include <kvsift/evict/arrivals.hpp>

namespace bench {

/// Threads of a block.
inline constexpr std::uint32_t block_threads = 128;

/// The verbs, all on the stream it was made with.
class running {
 public:
  virtual ~running() = default;
  virtual void step(std::uint32_t layer, kvsift::arrivals const& token, float* out) = 0;
  virtual void attend(std::uint32_t layer, float const* queries, float* out) = 0;
  virtual void append(std::uint32_t layer, kvsift::arrivals const& token) = 0;
  virtual void evict() = 0;
  /// Heads come down to their limit less `tokens`.
  virtual void make_room(std::uint32_t tokens) = 0;
  /// Before each replay of a captured step but the first.
  virtual void replayed() = 0;
  /// Keys of all layers, values behind them, and bytes of one vector.
  virtual void const* vectors() const = 0;
  virtual std::size_t vector_bytes() const = 0;
  virtual std::size_t allocated() const = 0;
};

/// Arrays that tokens are made of: any run of a pool of random numbers is a vector, and no two tokens are alike.
class token_pool {
 public:
  explicit token_pool(cudaStream_t stream) : numbers_(stream, std::size_t{1} << 24, -1.7f, 1.7f) {}
  /// The next run of n <= 2^23 numbers, on a 16-byte boundary.
  float const* next(std::size_t n) {
    at_ = (at_ + (n + 63) / 4 * 4) % (numbers_.size() / 2);
    return numbers_.data() + at_;
  }
  /// One token of every sequence.
  kvsift::arrivals token(kvsift::cache_shape const& shape) {
    std::size_t const keys = std::size_t{shape.layer_rows()} * shape.head_dim;
    return {next(keys * shape.group), next(keys), next(keys), 1};
  }

 private:
  device_floats numbers_;
  std::size_t at_ = 0;
};

/// Every head holds what the case says, its columns as if its tokens had been attended to: fed with random masses.
template <policy_kind Kind, class Payload, class Placement>
std::unique_ptr<running> make_running(cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool);

/// The same for a case that was compiled.
std::unique_ptr<running> make_running(cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool);

}  // namespace bench
