#pragma once
// How the attention that a token receives varies while it grows old.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace programs {

// Standard deviation (population) of the attention that a token has received by the time that c queries have seen it,
// its own the first: what roco's scope ranks by. Mean over the tokens first <= j <= last, every one of them at every
// age 1 .. ages.
class deviation_by_age {
 public:
  deviation_by_age(std::size_t first, std::size_t last, std::size_t ages)
      : first_(first), last_(last), tokens_(last - first + 1), sums_(ages + 1, 0.0) {}

  // attention: of query t to tokens 0 .. t. Queries come in order, from 0.
  void add(std::span<float const> attention) {
    std::size_t const t = attention.size() - 1;
    for (std::size_t j = first_; j <= std::min(t, last_); ++j) {
      std::size_t const age = t - j + 1;
      if (age >= sums_.size()) continue;
      received& one = tokens_[j - first_];
      double const a = static_cast<double>(attention[j]), more = a - one.mean;
      one.mean += more / static_cast<double>(age);
      one.squares += more * (a - one.mean);
      sums_[age] += std::sqrt(std::max(0.0, one.squares / static_cast<double>(age)));
    }
  }

  std::size_t ages() const { return sums_.size() - 1; }
  // At an age from 1 on that all tokens have reached.
  double at(std::size_t age) const { return sums_[age] / static_cast<double>(tokens_.size()); }

 private:
  struct received {
    double mean = 0, squares = 0;  // squares: of the distances from the mean
  };
  std::size_t first_, last_;
  std::vector<received> tokens_;
  std::vector<double> sums_;  // [ages + 1]
};

}  // namespace programs
