#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/column/concepts.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// A token that is about to lose its slot. Its key and value are read component by component, as floats.
template <class Vector>
struct victim {
  head_context about;
  std::uint32_t row = 0;  ///< of the cache
  std::uint32_t position = 0;
  std::uint32_t head_dim = 0;
  Vector key;    ///< key(d), encoded or not as the position rule says
  Vector value;  ///< value(d)
};

/// What becomes of a victim: dispose is called by the whole group after the choice and before anything moves.
/// `idle`: it does nothing, and the loops over victims that exist only for its sake are left out.
template <class D>
concept disposal = requires {
  { D::idle } -> std::convertible_to<bool>;
};

/// How vectors are stored, as far as a decision must know: not at all, unless a disposal reads them.
template <class Payload, class Disposal>
using disposed_payload = std::conditional_t<Disposal::idle, void, Payload>;

/// Victims are forgotten.
struct dropped {
  static constexpr bool idle = true;
  KVSIFT_HOST_DEVICE void dispose(auto const&, auto const&) const {}
};

/// Victims are copied out before their slots are used again: the newest `capacity` of each row, in a ring that the caller
/// owns. To offload them, to look at them, or to bring them back. Per victim: head_dim x 8 + 4 bytes written.
struct copied_out {
  static constexpr bool idle = false;
  std::uint32_t capacity = 0;           ///< per row, at least 1
  float* keys = nullptr;                ///< [rows, capacity, head_dim]
  float* values = nullptr;              ///< [rows, capacity, head_dim]
  std::uint32_t* positions = nullptr;   ///< [rows, capacity]
  std::uint32_t* counts = nullptr;      ///< [rows], victims so far: victim i lies at i mod capacity. Zeroed by the caller

  template <cooperative_group G, class Vector>
  KVSIFT_HOST_DEVICE void dispose(G const& g, victim<Vector> const& v) const {
    std::uint32_t const count = counts[v.row];
    std::size_t const place = std::size_t{v.row} * capacity + count % capacity;
    for (std::uint32_t d = g.thread_rank(); d < v.head_dim; d += g.num_threads()) {
      keys[place * v.head_dim + d] = v.key(d);
      values[place * v.head_dim + d] = v.value(d);
    }
    g.sync();
    if (g.thread_rank() == 0) {
      positions[place] = v.position;
      counts[v.row] = count + 1;
    }
    g.sync();
  }
};

}  // namespace kvsift
