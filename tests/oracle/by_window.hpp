#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include <oracle/rule.hpp>

namespace oracle {

enum class pool { max, avg };

/// snapkv: of a prompt that is too long, the last `window` tokens stay, and those before it that the window's queries paid
/// most attention to, pooled over `kernel` neighbours. Nothing goes in decode.
class snapkv : public rule {
 public:
  snapkv(int budget, int window, int kernel, pool how) : budget_(budget), window_(window), kernel_(kernel), pool_(how) {}

  int limit(int) const override { return budget_; }
  bool grows() const override { return true; }
  choice victim(slot_list const&, int) const override { return {}; }
  choice cut(slot_list const&, attention_map const& map, int count) const override {
    return lowest(candidates_of(map), count, ties::lowest_stays);
  }

 protected:
  /// Every position before the window with its pooled score.
  std::vector<candidate> candidates_of(attention_map const& map) const {
    int const n = static_cast<int>(map.size()), past = n - window_;
    std::vector<double> received(map.size(), 0.0);
    for (int i = past; i < n; ++i) {
      for (int j = 0; j < past; ++j) received[at(j)] += map[at(i)][at(j)];
    }
    std::vector<candidate> all;
    for (int j = 0; j < past; ++j) {
      double largest = 0, sum = 0;
      for (int k = std::max(0, j - kernel_ / 2); k <= std::min(past - 1, j + kernel_ / 2); ++k) {
        largest = std::fmax(largest, received[at(k)]);
        sum += received[at(k)];
      }
      all.push_back({pool_ == pool::max ? largest : sum / kernel_, j});
    }
    return all;
  }
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  int budget_, window_, kernel_;
  pool pool_;
};

/// ada_snapkv: the same scores; how many slots a head keeps is decided by one ranking over all heads, `floor` of an even
/// share apart.
class ada_snapkv : public snapkv {
 public:
  ada_snapkv(int budget, int window, int kernel, pool how, double floor) : snapkv(budget, window, kernel, how), floor_(floor) {}

  std::vector<choice> cut_heads(std::vector<slot_list> const&, std::vector<attention_map> const& maps, int) const override {
    int const heads = static_cast<int>(maps.size()), b = budget_ - window_;
    struct entry {
      double score;
      int position, head;
    };
    std::vector<std::vector<candidate>> own;
    std::vector<entry> ranking;
    for (int h = 0; h < heads; ++h) {
      own.push_back(candidates_of(maps[at(h)]));
      for (candidate const& c : own.back()) ranking.push_back({c.score, c.position, h});
    }
    std::sort(ranking.begin(), ranking.end(), [](entry const& x, entry const& y) {
      if (x.score != y.score) return x.score > y.score;
      return x.position != y.position ? x.position < y.position : x.head < y.head;
    });
    std::vector<int> won(maps.size(), 0);
    for (int i = 0; i < heads * b; ++i) ++won[at(ranking[at(i)].head)];
    double const border = heads * b < static_cast<int>(ranking.size()) && b > 0
                              ? relative_gap(ranking[at(heads * b - 1)].score, ranking[at(heads * b)].score)
                              : no_gap;

    std::vector<int> kept, order(maps.size());
    std::vector<double> rest;
    for (int const w : won) {
      double const share = std::round((w * (1 - floor_) + b * floor_) * 1e6) / 1e6;
      kept.push_back(static_cast<int>(std::floor(share)));
      rest.push_back(std::round((share - std::floor(share)) * 1e6));
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int x, int y) { return rest[at(x)] > rest[at(y)]; });
    int const missing = heads * b - std::accumulate(kept.begin(), kept.end(), 0);
    for (int i = 0; i < missing; ++i) ++kept[at(order[at(i)])];

    std::vector<choice> goes;
    for (int h = 0; h < heads; ++h) {
      goes.push_back(lowest(own[at(h)], static_cast<int>(own[at(h)].size()) - kept[at(h)], ties::lowest_stays));
      goes.back().gap = std::fmin(goes.back().gap, border);
    }
    return goes;
  }

 private:
  double floor_;
};

}  // namespace oracle
