#pragma once
// Expected Attention (arXiv 2510.00636) from its definition: matrices written out, rotations averaged one by one.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace oracle {

using numbers = std::vector<double>;

/// R(position) as a matrix [dim, dim]: which pairs turn, and by which frequency.
struct rotation {
  int dim = 0, turning = 0;
  bool interleaved = false;
  double theta = 1e4;

  std::vector<numbers> at(double position) const {
    std::vector<numbers> r(static_cast<std::size_t>(dim), numbers(static_cast<std::size_t>(dim), 0.0));
    for (int d = 0; d < dim; ++d) r[static_cast<std::size_t>(d)][static_cast<std::size_t>(d)] = 1;
    for (int i = 0; i < turning / 2; ++i) {
      auto const a = static_cast<std::size_t>(interleaved ? 2 * i : i), b = static_cast<std::size_t>(interleaved ? 2 * i + 1 : i + turning / 2);
      double const angle = position * std::pow(theta, -2.0 * i / turning);
      r[a][a] = r[b][b] = std::cos(angle);
      r[a][b] = -std::sin(angle);
      r[b][a] = std::sin(angle);
    }
    return r;
  }
};

inline numbers times(std::vector<numbers> const& m, numbers const& x) {
  numbers y(m.size(), 0.0);
  for (std::size_t i = 0; i < m.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) y[i] += m[i][j] * x[j];
  return y;
}

/// Scores of the keys from `sinks` on. queries [group][tokens][dim] before their rotation, keys [tokens][dim] after it.
inline numbers expected_attention(std::vector<std::vector<numbers>> const& queries, std::vector<numbers> const& keys,
                                  std::vector<numbers> const& values, rotation const& r, int future, std::size_t sinks, double epsilon,
                                  bool with_covariance) {
  std::size_t const n = keys.size(), dim = keys[0].size();
  std::vector<numbers> ahead(dim, numbers(dim, 0.0));
  for (int p = 0; p < future; ++p) {
    std::vector<numbers> const one = r.at(static_cast<double>(n) + p);
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t j = 0; j < dim; ++j) ahead[i][j] += one[i][j] / future;
  }
  numbers total(n - sinks, 0.0);
  for (std::vector<numbers> const& head : queries) {
    double const count = static_cast<double>(n - sinks);
    numbers mean(dim, 0.0);
    for (std::size_t t = sinks; t < n; ++t)
      for (std::size_t d = 0; d < dim; ++d) mean[d] += head[t][d] / count;
    numbers const m = times(ahead, mean);
    numbers logits;
    for (std::size_t j = sinks; j < n; ++j) {
      double dot = 0, variance = 0;
      for (std::size_t d = 0; d < dim; ++d) dot += keys[j][d] * m[d];
      for (std::size_t t = sinks; t < n && with_covariance; ++t) {  // k' R S R' k is the variance of k . R q
        numbers centred(dim);
        for (std::size_t d = 0; d < dim; ++d) centred[d] = head[t][d] - mean[d];
        numbers const turned = times(ahead, centred);
        double along = 0;
        for (std::size_t d = 0; d < dim; ++d) along += keys[j][d] * turned[d];
        variance += along * along / count;
      }
      logits.push_back(dot / std::sqrt(static_cast<double>(dim)) + variance / (2.0 * static_cast<double>(dim)));
    }
    double const highest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (double const l : logits) sum += std::exp(l - highest);
    for (std::size_t j = 0; j < logits.size(); ++j) total[j] += std::exp(logits[j] - highest) / sum / static_cast<double>(queries.size());
  }
  for (std::size_t j = sinks; j < n; ++j) {
    double squares = 0;
    for (double const v : values[j]) squares += v * v;
    total[j - sinks] = (total[j - sinks] + epsilon) * std::sqrt(squares);
  }
  return total;
}

}  // namespace oracle
