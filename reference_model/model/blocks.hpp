#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <kvsift/core/lanes.hpp>
#include <kvsift/core/rotary.hpp>
#include <kvsift/exec/group.hpp>

// What happens to a vector between the matrices, as texts of a group of threads: with one thread they are the CPU's.
namespace reference_model {

/// Numbers that total works in, of type T.
inline constexpr std::uint32_t total_scratch = 256 + 16;

/// Sum of term(i) for i < count, known to all threads. One thread adds in order; several add 256 strands, then 16 sums of them, in an
/// order that does not depend on how many they are. scratch [total_scratch], unused by one thread.
template <class T, kvsift::cooperative_group G, class Term>
KVSIFT_HOST_DEVICE T total(G const& g, T* scratch, std::uint32_t count, Term const& term) {
  T sum = 0;
  if (g.num_threads() == 1) {
    for (std::uint32_t i = 0; i < count; ++i) sum += term(i);
    return sum;
  }
  constexpr std::uint32_t strands = 256, sums = 16;
  g.sync();
  for (std::uint32_t s = g.thread_rank(); s < strands; s += g.num_threads()) {
    T own = 0;
    for (std::uint32_t i = s; i < count; i += strands) own += term(i);
    scratch[s] = own;
  }
  g.sync();
  for (std::uint32_t s = g.thread_rank(); s < sums; s += g.num_threads()) {
    T own = 0;
    for (std::uint32_t i = s; i < strands; i += sums) own += scratch[i];
    scratch[strands + s] = own;
  }
  g.sync();
  for (std::uint32_t s = 0; s < sums; ++s) sum += scratch[strands + s];
  return sum;
}

/// Sum of the squares of x [dim]. One thread adds eight lanes.
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE float sum_of_squares(G const& g, double* scratch, float const* x, std::uint32_t dim) {
  if (g.num_threads() > 1)
    return static_cast<float>(total(g, scratch, dim, [&](std::uint32_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); }));
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
  return sum;
}

/// out [dim] = x [dim] / root mean square of x, times scale [dim]. out may be x.
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void rms_norm(G const& g, double* scratch, float const* x, float const* scale, std::uint32_t dim, double eps, float* out) {
  float const sum = sum_of_squares(g, scratch, x, dim);
  float const factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(sum) / dim + eps));
  for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads()) out[i] = scale[i] * (factor * x[i]);
}

/// out [dim] = (x [dim] - its mean) / its standard deviation, times scale [dim], plus bias [dim] if there is one. Summed in double.
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void layer_norm(G const& g, double* scratch, float const* x, float const* scale, float const* bias, std::uint32_t dim,
                                   double eps, float* out) {
  double const mean = total(g, scratch, dim, [&](std::uint32_t i) { return static_cast<double>(x[i]); }) / dim;
  double const squares = total(g, scratch, dim, [&](std::uint32_t i) {
    double const apart = static_cast<double>(x[i]) - mean;
    return apart * apart;
  });
  double const factor = 1.0 / std::sqrt(squares / dim + eps);
  for (std::uint32_t i = g.thread_rank(); i < dim; i += g.num_threads())
    out[i] = scale[i] * static_cast<float>(factor * (static_cast<double>(x[i]) - mean)) + (bias != nullptr ? bias[i] : 0.0f);
}

/// Cosines and sines [pairs] of the angles position x frequency, computed in double, times `amplitude`. frequencies [pairs].
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void rope_angles(G const& g, std::uint32_t position, double const* frequencies, std::uint32_t pairs, double amplitude,
                                    float* cosines, float* sines) {
  for (std::uint32_t i = g.thread_rank(); i < pairs; i += g.num_threads()) {
    double const angle = position * frequencies[i];
    cosines[i] = static_cast<float>(amplitude * std::cos(angle));
    sines[i] = static_cast<float>(amplitude * std::sin(angle));
  }
}

/// Rotates the heads [count, D] of one token in place: their first `turning` components. cosines, sines [turning / 2].
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void rotate(G const& g, float* heads, std::uint32_t count, std::uint32_t head_dim, std::uint32_t turning,
                               kvsift::pairing pairs, float const* cosines, float const* sines) {
  std::uint32_t const half = turning / 2;
  for (std::uint32_t h = 0; h < count; ++h) {
    float* const v = heads + std::size_t{h} * head_dim;
    for (std::uint32_t i = g.thread_rank(); i < half; i += g.num_threads()) {
      float& a = pairs == kvsift::pairing::half_split ? v[i] : v[2 * i];
      float& b = pairs == kvsift::pairing::half_split ? v[i + half] : v[2 * i + 1];
      float const x = a, y = b;
      a = x * cosines[i] - y * sines[i];
      b = x * sines[i] + y * cosines[i];
    }
  }
}

/// 1 / (1 + exp(-x)).
KVSIFT_HOST_DEVICE KVSIFT_INLINE float sigmoid(float x) {
  float const e = kvsift::exp_of(-std::fabs(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/// up [size] = gate [size] x sigmoid(gate) x up.
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void swiglu(G const& g, float const* gate, float* up, std::uint32_t size) {
  for (std::uint32_t i = g.thread_rank(); i < size; i += g.num_threads()) up[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

/// up [size] = GELU of up by its tanh form: x (1 + tanh z) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3), which is
/// x sigmoid(2 z).
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void gelu(G const& g, float* up, std::uint32_t size) {
  constexpr float twice = 1.5957691216f;  // 2 sqrt(2 / pi)
  for (std::uint32_t i = g.thread_rank(); i < size; i += g.num_threads()) {
    float const x = up[i];
    up[i] = x * sigmoid(twice * (x + 0.044715f * x * x * x));
  }
}

/// up [size] = GELU of up: x times the share of a normal distribution below x.
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void exact_gelu(G const& g, float* up, std::uint32_t size) {
  for (std::uint32_t i = g.thread_rank(); i < size; i += g.num_threads()) up[i] *= 0.5f * (1 + std::erf(up[i] * 0.70710678f));
}

/// x [size] += y [size].
template <kvsift::cooperative_group G>
KVSIFT_HOST_DEVICE void add(G const& g, float* x, float const* y, std::size_t size) {
  for (std::size_t i = g.thread_rank(); i < size; i += g.num_threads()) x[i] += y[i];
}

}  // namespace reference_model
