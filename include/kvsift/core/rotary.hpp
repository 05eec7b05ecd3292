#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>

namespace kvsift {

/// Which components of a vector turn together: (i, i + rotary_dim / 2) as in Hugging Face's Llama, or (2 i, 2 i + 1) as
/// in GPT-J and llama2.c.
enum class pairing : std::uint32_t { half_split, interleaved };

/// How the frequencies of a model are slowed down so that it reaches beyond the positions it was trained for.
enum class rotary_scaling : std::uint32_t {
  none,
  linear,       ///< all by the same factor (arXiv 2306.15595)
  dynamic_ntk,  ///< by a larger base, as far as the text in use asks for it
  yarn,         ///< slow ones by the factor, fast ones not, a ramp between (arXiv 2309.00071)
  llama3,       ///< as yarn, the ramp going by wavelength (Llama 3.1)
};

/// A rotary encoding (RoPE, arXiv 2104.09864): pair i of the rotary_dim / 2 pairs turns by position x frequency i, where
///
///   frequency i = theta^(-2 i / rotary_dim), unless it is scaled
struct rotary_encoding {
  double theta = 10000.0;              ///< 0: nothing turns, as in models with learned positions
  pairing pairs = pairing::half_split;
  std::uint32_t rotary_dim = 0;        ///< components that turn, the first ones; 0: all of head_dim
  rotary_scaling scaling = rotary_scaling::none;
  double factor = 1;                   ///< by how much; at least 1
  std::uint32_t trained = 0;           ///< positions before the model was stretched; for dynamic_ntk, yarn and llama3
  double slow = 1;                     ///< turns within `trained` below which a pair is slowed in full: yarn and llama3
  double fast = 32;                    ///< turns above which it is not slowed at all: yarn; llama3 has 4
  double amplitude = 1;                ///< of cosines and sines: yarn has 0.1 log(factor) + 1

  KVSIFT_HOST_DEVICE constexpr std::uint32_t turning(std::uint32_t head_dim) const {
    return theta == 0 ? 0 : rotary_dim != 0 ? rotary_dim : head_dim;
  }
  friend constexpr bool operator==(rotary_encoding const&, rotary_encoding const&) = default;
};

/// Throws bad_argument, naming the field, unless vectors of head_dim components can be encoded so.
inline void check(rotary_encoding const& e, std::uint32_t head_dim) {
  require(e.theta >= 0 && e.theta <= 1e30, "theta", e.theta, "give the rotary base of the model, such as 10000, or 0 if nothing turns");
  require(e.rotary_dim <= head_dim, "rotary_dim", e.rotary_dim, "give at most head_dim");
  require(e.turning(head_dim) % 2 == 0, "rotary_dim", e.turning(head_dim), "give an even number");
  require(e.factor >= 1 && e.factor <= 1e6, "factor", e.factor, "give 1 to 1e6");
  require(e.amplitude > 0 && e.amplitude <= 1e3, "amplitude", e.amplitude, "give a number above 0 and up to 1000");
  if (e.scaling == rotary_scaling::none || e.scaling == rotary_scaling::linear) return;
  require(e.trained > 0, "trained", e.trained, "give the positions that the model was trained for before it was stretched");
  if (e.scaling == rotary_scaling::dynamic_ntk) return;
  require(e.slow > 0, "slow", e.slow, "give a number of turns above 0");
  require(e.fast > e.slow, "fast", e.fast, "give more turns than slow has");
}

/// Frequency of pair i of an encoding, in radians a position. `positions`: how many the text in use has, for dynamic_ntk;
/// others ignore it.
KVSIFT_HOST_DEVICE inline double frequency(rotary_encoding const& e, std::uint32_t head_dim, std::uint32_t positions, std::uint32_t i) {
  constexpr double turn = 6.283185307179586;
  std::uint32_t const dim = e.turning(head_dim);
  double const trained = e.trained;
  double theta = e.theta;
  if (e.scaling == rotary_scaling::dynamic_ntk && positions > e.trained && dim > 2)
    theta *= std::pow(e.factor * positions / trained - (e.factor - 1), dim / (dim - 2.0));
  // Pair at which `turns` turns are made within the trained positions, as a real number.
  auto const pair_of = [&](double turns) { return dim * std::log(trained / (turns * turn)) / (2 * std::log(theta)); };

  double const own = std::pow(theta, -2.0 * i / dim);
  double kept = 1;  // share of its own frequency, the rest being slowed
  if (e.scaling == rotary_scaling::linear) {
    kept = 0;
  } else if (e.scaling == rotary_scaling::llama3) {
    kept = std::fmin(1.0, std::fmax(0.0, (trained * own / turn - e.slow) / (e.fast - e.slow)));
  } else if (e.scaling == rotary_scaling::yarn) {
    double const first = std::fmax(std::floor(pair_of(e.fast)), 0.0);  // whole pairs, as published
    double const last = std::fmin(std::ceil(pair_of(e.slow)), dim - 1.0);
    kept = 1 - std::fmin(1.0, std::fmax(0.0, (i - first) / std::fmax(last - first, 0.001)));
  }
  return own * kept + own / e.factor * (1 - kept);
}

/// All of them [turning / 2].
inline void frequencies(rotary_encoding const& e, std::uint32_t head_dim, std::uint32_t positions, double* out) {
  for (std::uint32_t i = 0; i < e.turning(head_dim) / 2; ++i) out[i] = frequency(e, head_dim, positions, i);
}

/// A rotary encoding as the tasks see it. cosines, sines [positions, rotary_dim / 2]; null: no rotation.
struct rotary_view {
  float const* cosines = nullptr;
  float const* sines = nullptr;
  std::uint32_t rotary_dim = 0;  ///< components that turn; the rest pass through
  pairing pairs = pairing::half_split;

  /// to[d] = component d of x turned to `position`. x(d) gives the component; `to` is not x's memory.
  template <class X>
  KVSIFT_HOST_DEVICE void rotate(X const& x, std::uint32_t dim, std::uint32_t position, float* to) const {
    for (std::uint32_t d = 0; d < dim; ++d) to[d] = x(d);
    turn(to, position, 1);
  }
  /// x, in place, by row `row` of the table; direction 1 or, back, -1.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void turn(float* x, std::uint32_t row, float direction) const {
    std::uint32_t const half = rotary_dim / 2;
    float const* const c = cosines + std::size_t{row} * half;
    float const* const s = sines + std::size_t{row} * half;
    std::uint32_t const step = pairs == pairing::half_split ? 1 : 2, apart = pairs == pairing::half_split ? half : 1;
    std::uint32_t i = 0;
    for (; step == 1 && i + lane_count <= half; i += lane_count) {
      lanes first, second, cosine, sine, turned;
      first.load(x + i);
      second.load(x + half + i);
      cosine.load(c + i);
      sine.load(s + i);
      sine.scale(direction);
      turned.fill(0);
      turned.add_product(second, cosine);
      turned.add_product(first, sine);
      turned.store(x + half + i);
      turned.fill(0);
      turned.add_product(first, cosine);
      turned.subtract_product(second, sine);
      turned.store(x + i);
    }
    for (; i < half; ++i) {
      float const first = x[i * step], second = x[i * step + apart], sine = direction * s[i];
      x[i * step] = first * c[i] - second * sine;
      x[i * step + apart] = second * c[i] + first * sine;
    }
  }
  /// x, in place, back by `places`, through a table made by rotary_table::of_digits.
  KVSIFT_HOST_DEVICE void turn_back(float* x, std::uint32_t places) const {
    for (std::uint32_t digit = 0; places != 0; ++digit, places /= digit_values)
      if (places % digit_values != 0) turn(x, digit * digit_values + places % digit_values, -1);
  }
  static constexpr std::uint32_t digit_values = 256;
};

/// Cosines and sines of an encoding's positions, angles in double precision. Owns them; host memory.
class rotary_table {
 public:
  rotary_table() = default;
  /// For positions 0 .. positions - 1. Throws bad_argument as check does.
  rotary_table(rotary_encoding const& e, std::uint32_t head_dim, std::uint32_t positions)
      : rotary_dim_(e.turning(head_dim)), pairs_(e.pairs) {
    check(e, head_dim);
    std::vector<double> frequency(rotary_dim_ / 2);
    frequencies(e, head_dim, positions, frequency.data());
    for (std::uint32_t p = 0; p < positions; ++p) add(frequency, p, e.amplitude);
  }
  /// By how much `places` turn a vector that is encoded already, for any number of them: turns of a number's digits in base 256, of
  /// no amplitude. Throws bad_argument as check does, and if frequencies depend on how long the text is.
  static rotary_table of_digits(rotary_encoding const& e, std::uint32_t head_dim) {
    if (e.scaling == rotary_scaling::dynamic_ntk)
      throw bad_argument("scaling is dynamic_ntk; keys that are encoded cannot be turned on, for frequencies change with the text: take in_cache_positions");
    rotary_table t(e, head_dim, 0);
    std::vector<double> frequency(t.rotary_dim_ / 2);
    frequencies(e, head_dim, 0, frequency.data());
    for (double unit = 1; unit < 4294967296.0; unit *= rotary_view::digit_values)
      for (std::uint32_t digit = 0; digit < rotary_view::digit_values; ++digit) t.add(frequency, digit * unit, 1);
    return t;
  }
  rotary_view view() const { return view_of(cosines_.data(), sines_.data()); }
  /// The same of copies [floats each] that lie elsewhere.
  rotary_view view_of(float const* cosines, float const* sines) const {
    return cosines_.empty() ? rotary_view{} : rotary_view{cosines, sines, rotary_dim_, pairs_};
  }
  /// Cosines, and as many sines.
  std::size_t floats() const { return cosines_.size(); }

 private:
  void add(std::vector<double> const& frequency, double position, double amplitude) {
    for (double const f : frequency) {
      cosines_.push_back(static_cast<float>(amplitude * std::cos(position * f)));
      sines_.push_back(static_cast<float>(amplitude * std::sin(position * f)));
    }
  }

  std::vector<float> cosines_;
  std::vector<float> sines_;
  std::uint32_t rotary_dim_ = 0;
  pairing pairs_ = pairing::half_split;
};

}  // namespace kvsift
