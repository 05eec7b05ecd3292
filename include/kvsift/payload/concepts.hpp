#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/group.hpp>

namespace kvsift {

/// How a vector is stored: in bytes(dim) bytes, by whatever code. Stored as a whole, by the threads of a group, none of which waits
/// for another; loaded component by component, and eight at a time from a multiple of eight on.
template <class P>
concept vector_payload = requires(std::byte* to, std::byte const* from, std::uint32_t dim, std::size_t i, float const* x, lanes& eight) {
  { P::bytes(dim) } -> std::convertible_to<std::size_t>;
  { P::load(from, i) } -> std::convertible_to<float>;
  P::load(from, i, eight);
  P::store(serial_group{}, to, x, dim);
};

}  // namespace kvsift
