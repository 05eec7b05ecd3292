#pragma once
// KV-Align's networks and what an eviction does with them, in double precision, from the formula alone.
#include <algorithm>
#include <cstddef>
#include <vector>

namespace oracle {

/// f(x, p, layer, head) = x + W3 relu(W2 relu(W1 [x; of_position[p]; of_layer[layer]; of_head[head]] + b1) + b2) + b3.
struct align_network {
  std::vector<std::vector<double>> of_position, of_layer, of_head;  // embeddings, by row
  std::vector<std::vector<double>> w1, w2, w3;                      // [out][in]
  std::vector<double> b1, b2, b3;

  std::vector<double> operator()(std::vector<double> const& x, std::size_t p, std::size_t layer, std::size_t head) const {
    std::vector<double> z = x;
    for (auto const* part : {&of_position[p], &of_layer[layer], &of_head[head]}) z.insert(z.end(), part->begin(), part->end());
    auto const through = [](std::vector<std::vector<double>> const& w, std::vector<double> const& b, std::vector<double> const& in, bool bent) {
      std::vector<double> out = b;
      for (std::size_t i = 0; i < w.size(); ++i) {
        for (std::size_t j = 0; j < in.size(); ++j) out[i] += w[i][j] * in[j];
        if (bent) out[i] = std::max(out[i], 0.0);
      }
      return out;
    };
    std::vector<double> y = through(w3, b3, through(w2, b2, through(w1, b1, z, true), true), false);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += x[i];
    return y;
  }
};

}  // namespace oracle
