#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/collective/select.hpp>
#include <support/random_trace.hpp>

namespace support {

/// Items with keys and distinct ties, and what a sort says of them.
struct ordered_items {
  std::vector<std::uint32_t> keys{}, ties{};

  std::uint32_t size() const { return static_cast<std::uint32_t>(keys.size()); }
  std::vector<std::uint32_t> sorted() const {
    std::vector<std::uint32_t> order(keys.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : ties[a] < ties[b]; });
    return order;
  }
  /// The cut of a sort, for count <= size: the count-th key, and its tie where an equal key follows.
  static kvsift::selection_cut cut_of_sort(ordered_items const& x, std::vector<std::uint32_t> const& order, std::uint32_t count) {
    if (count == 0) return {};
    if (count >= x.size()) return {0xffffffffu, 0xffffffffu, false};
    std::uint32_t const last = order[count - 1], next = order[count];
    return {x.keys[last], x.keys[last] == x.keys[next] ? x.ties[last] : 0xffffffffu, false};
  }
};

inline bool same(kvsift::selection_cut const& a, kvsift::selection_cut const& b) {
  return a.key == b.key && a.tie == b.tie && a.nothing == b.nothing;
}

/// n items whose keys are of one kind, which is named: all that makes a selection by digits or by samples go astray.
inline ordered_items adversarial_items(draws& d, std::uint32_t n, std::string& kind) {
  static std::vector<std::string> const kinds{"random bits",  "floats of [0, 1)", "one exponent", "all equal", "two values", "few values",
                                              "sorted",       "reversed",         "blocks",       "periodic",  "extremes"};
  kind = d.one_of(kinds);
  ordered_items x;
  std::uint32_t const period = static_cast<std::uint32_t>(d.between(2, 300)), some = static_cast<std::uint32_t>(d.bits());
  std::uint32_t const extremes[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu};
  for (std::uint32_t i = 0; i < n; ++i) {
    std::uint32_t key = static_cast<std::uint32_t>(d.bits());
    auto const as_float = [](double y) { return __builtin_bit_cast(std::uint32_t, static_cast<float>(y)) | 0x80000000u; };
    if (kind == "floats of [0, 1)") key = as_float(d.uniform());
    if (kind == "one exponent") key = as_float(1 + d.uniform() / 4);
    if (kind == "all equal") key = some;
    if (kind == "two values") key = d.chance(0.5) ? some : some / 2;
    if (kind == "few values") key = some / 8 * static_cast<std::uint32_t>(d.between(1, 7));
    if (kind == "sorted") key = i * 3;
    if (kind == "reversed") key = ~i * 3;
    if (kind == "blocks") key = i / 37 * 0x01000193u;
    if (kind == "periodic") key = i % period * 0x00100001u;
    if (kind == "extremes") key = d.one_of(std::vector<std::uint32_t>(std::begin(extremes), std::end(extremes)));
    x.keys.push_back(key);
    x.ties.push_back(i * 3);
  }
  for (std::uint32_t i = n; i-- > 1;) std::swap(x.ties[i], x.ties[static_cast<std::uint32_t>(d.between(0, static_cast<int>(i)))]);
  if (n != 0 && d.chance(0.3)) x.ties[0] = 0xfffffffeu;
  return x;
}

}  // namespace support
