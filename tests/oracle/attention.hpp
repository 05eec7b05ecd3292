#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <oracle/trace.hpp>

namespace oracle {

/// softmax(q . k / sqrt(dim)) of one query head of `token` over the tokens at `positions`; same order.
inline std::vector<double> attention_row(trace const& t, int token, int query_head, std::vector<int> const& positions) {
  int const kv_head = query_head / t.group();
  std::vector<double> row;
  double largest = -INFINITY;
  for (int const position : positions) {
    double dot = 0;
    for (int d = 0; d < t.dim; ++d) {
      dot += static_cast<double>(t.query(token, query_head)[d]) * static_cast<double>(t.key(position, kv_head)[d]);
    }
    row.push_back(dot / std::sqrt(static_cast<double>(t.dim)));
    largest = std::fmax(largest, row.back());
  }
  double total = 0;
  for (double& x : row) {
    x = std::exp(x - largest);
    total += x;
  }
  for (double& x : row) x /= total;
  return row;
}

/// The row of a KV head: the mean over its group of query heads.
inline std::vector<double> group_row(trace const& t, int token, int kv_head, std::vector<int> const& positions) {
  std::vector<double> mean(positions.size(), 0.0);
  for (int g = 0; g < t.group(); ++g) {
    std::vector<double> const row = attention_row(t, token, kv_head * t.group() + g, positions);
    for (std::size_t i = 0; i < row.size(); ++i) mean[i] += row[i] / t.group();
  }
  return mean;
}

/// Attention output [dim] of one query head of `token` over the tokens at `positions`.
inline std::vector<double> attention_output(trace const& t, int token, int query_head,
                                            std::vector<int> const& positions) {
  std::vector<double> const row = attention_row(t, token, query_head, positions);
  std::vector<double> out(static_cast<std::size_t>(t.dim), 0.0);
  for (std::size_t i = 0; i < row.size(); ++i) {
    float const* const value = t.value(positions[i], query_head / t.group());
    for (int d = 0; d < t.dim; ++d) out[static_cast<std::size_t>(d)] += row[i] * static_cast<double>(value[d]);
  }
  return out;
}

}  // namespace oracle
