#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <oracle/trace.hpp>

namespace oracle {

/// A binary format: so many bits behind the point, exponents from `least` on, below that the same spacing; nothing beyond `largest`.
struct number_format {
  int fraction = 0;
  int least = 0;
  double largest = 0;
};
inline number_format const fp16{10, -14, 65504};
inline number_format const bf16{7, -126, 0x1.fep127};
inline number_format const fp8{3, -6, 448};

/// The number of the format that is nearest to x, of two the one whose last bit is 0.
inline double rounded(double x, number_format const& f) {
  double const m = std::fabs(x);
  if (m == 0) return x;
  double const spacing = std::ldexp(1.0, std::max(std::ilogb(m), f.least) - f.fraction);
  double const steps = std::floor(m / spacing), rest = m / spacing - steps;  // exact: a power of two divides
  bool const up = rest > 0.5 || (rest == 0.5 && std::fmod(steps, 2) == 1);
  return std::copysign(std::fmin((steps + (up ? 1 : 0)) * spacing, f.largest), x);
}

/// The trace of a cache that stores keys and values in the format: queries are as they were.
inline trace stored_as(trace t, number_format const& f) {
  for (std::vector<float>* const all : {&t.keys, &t.values})
    for (float& x : *all) x = static_cast<float>(rounded(static_cast<double>(x), f));
  return t;
}

}  // namespace oracle
