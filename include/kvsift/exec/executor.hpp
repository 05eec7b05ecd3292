#pragma once

#include <concepts>
#include <cstdint>

#include <kvsift/exec/group.hpp>

namespace kvsift {

/// Runs a task once per block: task(group, block) for block in [0, blocks). Returns when all have run (host executors)
/// or have been enqueued (stream executors). Blocks do not wait for one another.
template <class E>
concept executor = requires(E const& on) { typename E::is_executor; };

/// The memory that the processor reaches.
struct host_space {};

namespace detail {

template <class E>
struct space_named {
  using type = host_space;
};
template <class E>
requires requires { typename E::space; }
struct space_named<E> {
  using type = typename E::space;
};

}  // namespace detail

/// The memory that an executor's tasks reach: the host's, unless it names another as E::space.
template <class E>
using space_of = typename detail::space_named<E>::type;

/// Whether several blocks share a row, in decode and of a prompt, where one a row would leave a device idle: a space says so as S::splits_rows, for
/// the caches in it have to hold what the blocks hand over. Sums are then added in another order.
template <class Space>
inline constexpr bool splits_rows = false;
template <class Space>
requires(Space::splits_rows)
inline constexpr bool splits_rows<Space> = true;

/// One block after another, on the calling thread.
struct serial_executor {
  using is_executor = void;

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    for (std::uint32_t block = 0; block < blocks; ++block) task(serial_group{}, block);
  }
};

}  // namespace kvsift
