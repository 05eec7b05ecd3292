#pragma once

#include <cstdint>
#include <cstring>

#include <contract/hostile.hpp>
#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/pages.hpp>
#include <support/random_trace.hpp>

namespace support {

/// A score whose columns are elements of one, four and eight bytes, one and three a slot.
struct keeps_everything {
  static constexpr auto columns() {
    return kvsift::column_set<hostile::origin, hostile::exact_sum, kvsift::observations>{{}, {}, kvsift::observations{3, false}};
  }
  float operator()(auto const&, std::uint32_t) const { return 0; }
};

/// Gives every byte of keys and values a value: there are payloads that do not write them all.
template <class View>
void fill_vectors(View const& view) {
  std::memset(view.keys, 0x5a, view.slots * view.vector_bytes);
  std::memset(view.values, 0xa5, view.slots * view.vector_bytes);
}

/// A cache of `held` tokens a row with ranks, some of which went and came, so that slots are out of order and pages scattered. The same for the same seed.
template <class Placement, class Payload>
auto filled_rows(kvsift::cache_shape const& shape, std::uint32_t held, kvsift::layout order, std::uint64_t seed) {
  using policy_type = decltype(kvsift::policy{kvsift::unlimited{}, kvsift::making_room(keeps_everything{}, {})});
  struct {
    kvsift::kv_tensor<policy_type, Payload, hostile::counted_positions, kvsift::dropped, Placement> cache;
  } made{{shape, kvsift::policy{kvsift::unlimited{}, kvsift::making_room(keeps_everything{}, {})}, {.capacity = held, .order = order}}};
  auto& cache = made.cache;
  fill_vectors(cache.view());
  marked_vectors const data{seed, shape};
  draws d(seed);
  for (std::uint32_t position = 0; cache.view().states[0].held < held; ++position) {
    marked_vectors::piece const p = data.make_piece(0, position, 1);
    for (std::uint32_t r = 0; r < shape.rows(); ++r) {
      auto const row = cache.view().row(r);
      float const *const key = p.keys.data() + r * shape.head_dim, *const value = p.values.data() + r * shape.head_dim;
      kvsift::append_row<Payload>(kvsift::serial_group{}, cache.view(), row, {key, value, shape.head_dim, row.state->next});
      row.template column<hostile::exact_sum>()[row.state->held - 1] = position * 1.5 + r;
      for (std::uint32_t i = 0; i < 3; ++i)
        row.template column<kvsift::observations>()[row.state->held - 1][i] = static_cast<float>(position * 3 + i);
    }
    if (position % 3 == 2 && position < 2 * held)
      for (std::uint32_t r = 0; r < shape.rows(); ++r)
        kvsift::remove_slot(kvsift::serial_group{}, cache.view(), cache.view().row(r),
                            static_cast<std::uint32_t>(d.between(0, static_cast<int>(cache.view().states[r].held) - 1)));
    scatter_pages(cache.view(), seed + position);
  }
  return made;
}

}  // namespace support
