#pragma once

#include <kvsift/column/key_norm.hpp>
#include <kvsift/score/concepts.hpp>

namespace kvsift {

/// Minus the squared L2 norm of the key: the largest norm goes first (arXiv 2406.11430). Needs no attention.
struct smallest_key_norm {
  static constexpr auto columns() { return column_set<key_square_norm>{}; }
  KVSIFT_HOST_DEVICE float operator()(auto const& row, std::uint32_t slot) const {
    return -row.template get<key_square_norm>()[slot];
  }
  friend constexpr bool operator==(smallest_key_norm const&, smallest_key_norm const&) = default;
};

}  // namespace kvsift
