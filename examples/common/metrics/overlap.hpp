#pragma once
// How much of one list of words is in another: precision, recall and their harmonic mean.
#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace programs {

struct overlap {
  double precision = 0, recall = 0;

  double f1() const { return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0; }
};

// `common` of `predicted` and `wanted` items. Nothing on one side: 0.
inline overlap overlap_of(std::size_t common, std::size_t predicted, std::size_t wanted) {
  auto const share = [&](std::size_t all) {
    return all == 0 ? 0.0 : static_cast<double>(common) / static_cast<double>(all);
  };
  return {share(predicted), share(wanted)};
}

template <class Item>
std::map<Item, std::size_t> counted(std::vector<Item> const& items) {
  std::map<Item, std::size_t> counts;
  for (Item const& item : items) ++counts[item];
  return counts;
}

// An item counts as often as it is in both.
template <class Item>
std::size_t common_items(std::map<Item, std::size_t> const& a, std::map<Item, std::size_t> const& b) {
  std::size_t common = 0;
  for (auto const& [item, count] : a)
    if (auto const at = b.find(item); at != b.end()) common += std::min(count, at->second);
  return common;
}

// n-grams of words; none of a list shorter than n.
inline std::vector<std::vector<std::string>> ngrams(std::vector<std::string> const& words, std::size_t n) {
  std::vector<std::vector<std::string>> all;
  for (std::size_t i = 0; i + n <= words.size(); ++i) {
    auto const begin = words.begin() + static_cast<std::ptrdiff_t>(i);
    all.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(n));
  }
  return all;
}

}  // namespace programs
