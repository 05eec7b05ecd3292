#pragma once

#include <cmath>
#include <cstddef>
#include <string>

namespace support {

/// The first place where `got` is further from `want` than `tolerance` times the largest component of its vector of
/// `width` numbers, in words; empty if there is none. Lists of different length differ; NaN is never close.
/// `least` stands in for a largest component below it: a sum whose terms cancel is no better than its terms.
/// CHECK(first_difference(...) == "") prints it.
template <class Got, class Want>
std::string first_difference(Got const& got, Want const& want, std::size_t width, double tolerance, double least = 0) {
  if (got.size() != want.size()) {
    return std::to_string(got.size()) + " numbers instead of " + std::to_string(want.size());
  }
  for (std::size_t begin = 0; begin < want.size(); begin += width) {
    double largest = least;
    for (std::size_t i = begin; i < begin + width && i < want.size(); ++i) {
      largest = std::fmax(largest, std::fabs(static_cast<double>(want[i])));
    }
    for (std::size_t i = begin; i < begin + width && i < want.size(); ++i) {
      double const apart = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
      if (!(apart <= tolerance * largest)) {
        return "component " + std::to_string(i - begin) + " of vector " + std::to_string(begin / width) + ": " +
               std::to_string(static_cast<double>(got[i])) + ", expected " +
               std::to_string(static_cast<double>(want[i])) + " (apart by " + std::to_string(apart / largest) +
               " of the largest component)";
      }
    }
  }
  return "";
}

}  // namespace support
