#pragma once
// Random draws of one sample: they depend on seed, sample and task alone, and are the same on every machine.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

class draws {
 public:
  draws(std::uint64_t seed, std::size_t sample, std::string_view task) {
    std::vector<std::uint32_t> words{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                                     static_cast<std::uint32_t>(sample)};
    for (char const c : task) words.push_back(static_cast<unsigned char>(c));
    std::seed_seq sequence(words.begin(), words.end());
    engine_.seed(sequence);
  }

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  double share() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // in [0, 1)

  // A number of `digits` digits, the first not 0.
  std::string number(std::size_t digits) {
    std::size_t least = 1;
    for (std::size_t i = 1; i < digits; ++i) least *= 10;
    return std::to_string(least + below(9 * least));
  }

  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  // `count` different ones of `all`, or all of them.
  template <class Item>
  std::vector<Item> some(std::vector<Item> all, std::size_t count) {
    shuffle(all);
    all.resize(std::min(count, all.size()));
    return all;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace programs
