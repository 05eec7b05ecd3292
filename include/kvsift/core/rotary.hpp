#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/config.hpp>

namespace kvsift {

/// Which components of a vector turn together: (i, i + rotary_dim / 2) as in Hugging Face's Llama, or (2 i, 2 i + 1) as
/// in GPT-J and llama2.c.
enum class pairing : std::uint32_t { half_split, interleaved };

/// A rotary encoding as the tasks see it. cosines, sines [positions, rotary_dim / 2]; null: no rotation.
struct rotary_view {
  float const* cosines = nullptr;
  float const* sines = nullptr;
  std::uint32_t rotary_dim = 0;  ///< components that turn; the rest pass through
  pairing pairs = pairing::half_split;

  /// to[d] = component d of x turned to `position`. x(d) gives the component; `to` is not x's memory.
  template <class X>
  KVSIFT_HOST_DEVICE void rotate(X const& x, std::uint32_t dim, std::uint32_t position, float* to) const {
    std::uint32_t const half = rotary_dim / 2;
    float const* const c = cosines + std::size_t{position} * half;
    float const* const s = sines + std::size_t{position} * half;
    std::uint32_t const step = pairs == pairing::half_split ? 1 : 2;
    std::uint32_t const apart = pairs == pairing::half_split ? half : 1;
    for (std::uint32_t i = 0; i < half; ++i) {
      float const first = x(i * step);
      float const second = x(i * step + apart);
      to[i * step] = first * c[i] - second * s[i];
      to[i * step + apart] = second * c[i] + first * s[i];
    }
    for (std::uint32_t d = rotary_dim; d < dim; ++d) to[d] = x(d);
  }
};

/// Cosines and sines of position x theta^(-2 i / rotary_dim), angles in double precision. Owns them; host memory.
class rotary_table {
 public:
  rotary_table() = default;
  rotary_table(double theta, std::uint32_t rotary_dim, pairing pairs, std::uint32_t positions)
      : rotary_dim_(rotary_dim), pairs_(pairs) {
    require(rotary_dim % 2 == 0, "rotary_dim", rotary_dim, "give an even number");
    std::uint32_t const half = rotary_dim / 2;
    cosines_.resize(std::size_t{positions} * half);
    sines_.resize(cosines_.size());
    for (std::uint32_t i = 0; i < half; ++i) {
      double const frequency = std::pow(theta, -2.0 * i / rotary_dim);
      for (std::uint32_t p = 0; p < positions; ++p) {
        cosines_[std::size_t{p} * half + i] = static_cast<float>(std::cos(p * frequency));
        sines_[std::size_t{p} * half + i] = static_cast<float>(std::sin(p * frequency));
      }
    }
  }
  rotary_view view() const { return {cosines_.data(), sines_.data(), rotary_dim_, pairs_}; }

 private:
  std::vector<float> cosines_;
  std::vector<float> sines_;
  std::uint32_t rotary_dim_ = 0;
  pairing pairs_ = pairing::half_split;
};

}  // namespace kvsift
