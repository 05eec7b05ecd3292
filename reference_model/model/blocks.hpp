#pragma once

#include <cmath>
#include <cstdint>

#include <kvsift/core/lanes.hpp>
#include <reference_model/model/config.hpp>

namespace reference_model {

/// out [dim] = x [dim] / root mean square of x, times scale [dim].
inline void rms_norm(float const* x, float const* scale, std::uint32_t dim, double eps, float* out) {
  using kvsift::lane_count;
  kvsift::lanes sums;
  sums.fill(0);
  std::uint32_t const whole = dim / lane_count * lane_count;
  for (std::uint32_t i = 0; i < whole; i += lane_count) {
    kvsift::lanes v;
    v.load(x + i);
    sums.add_product(v, v);
  }
  float sum = sums.sum();
  for (std::uint32_t i = whole; i < dim; ++i) sum += x[i] * x[i];
  float const factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(sum) / dim + eps));
  for (std::uint32_t i = 0; i < dim; ++i) out[i] = scale[i] * (factor * x[i]);
}

/// out [dim] = (x [dim] - its mean) / its standard deviation, times scale [dim], plus bias [dim] if there is one. Summed in double.
inline void layer_norm(float const* x, float const* scale, float const* bias, std::uint32_t dim, double eps, float* out) {
  double sum = 0, squares = 0;
  for (std::uint32_t i = 0; i < dim; ++i) sum += static_cast<double>(x[i]);
  double const mean = sum / dim;
  for (std::uint32_t i = 0; i < dim; ++i) {
    double const apart = static_cast<double>(x[i]) - mean;
    squares += apart * apart;
  }
  double const factor = 1.0 / std::sqrt(squares / dim + eps);
  for (std::uint32_t i = 0; i < dim; ++i)
    out[i] = scale[i] * static_cast<float>(factor * (static_cast<double>(x[i]) - mean)) + (bias != nullptr ? bias[i] : 0.0f);
}

/// Cosines and sines [pairs] of the angles position x frequency, computed in double, times `amplitude`. frequencies [pairs].
inline void rope_angles(std::uint32_t position, double const* frequencies, std::uint32_t pairs, double amplitude, float* cosines,
                        float* sines) {
  for (std::uint32_t i = 0; i < pairs; ++i) {
    double const angle = position * frequencies[i];
    cosines[i] = static_cast<float>(amplitude * std::cos(angle));
    sines[i] = static_cast<float>(amplitude * std::sin(angle));
  }
}

/// Rotates the heads [heads, D] of one token in place: their first `turning` components. cosines, sines [turning / 2].
inline void rotate(float* heads, std::uint32_t count, std::uint32_t head_dim, std::uint32_t turning, kvsift::pairing pairs,
                   float const* cosines, float const* sines) {
  std::uint32_t const half = turning / 2;
  for (std::uint32_t h = 0; h < count; ++h) {
    float* const v = heads + std::size_t{h} * head_dim;
    for (std::uint32_t i = 0; i < half; ++i) {
      float& a = pairs == kvsift::pairing::half_split ? v[i] : v[2 * i];
      float& b = pairs == kvsift::pairing::half_split ? v[i + half] : v[2 * i + 1];
      float const x = a, y = b;
      a = x * cosines[i] - y * sines[i];
      b = x * sines[i] + y * cosines[i];
    }
  }
}

/// 1 / (1 + exp(-x)).
inline float sigmoid(float x) {
  float const e = kvsift::exp_of(-std::abs(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/// up [hidden] = gate [hidden] x sigmoid(gate) x up.
inline void swiglu(float const* gate, float* up, std::uint32_t hidden) {
  for (std::uint32_t i = 0; i < hidden; ++i) up[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

/// up [hidden] = GELU of up by its tanh form: x (1 + tanh z) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3), which is
/// x sigmoid(2 z).
inline void gelu(float* up, std::uint32_t hidden) {
  constexpr float twice = 1.5957691216f;  // 2 sqrt(2 / pi)
  for (std::uint32_t i = 0; i < hidden; ++i) {
    float const x = up[i];
    up[i] = x * sigmoid(twice * (x + 0.044715f * x * x * x));
  }
}

/// up [hidden] = GELU of up: x times the share of a normal distribution below x.
inline void exact_gelu(float* up, std::uint32_t hidden) {
  for (std::uint32_t i = 0; i < hidden; ++i) up[i] *= 0.5f * (1 + std::erf(up[i] * 0.70710678f));
}

/// x [size] += y [size].
inline void add(float* x, float const* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) x[i] += y[i];
}

}  // namespace reference_model
