#pragma once

#include <kvsift/core/config.hpp>

namespace kvsift {

/// A function of whatever it is given: what concepts ask with. Not a lambda: in device code nvcc 13 takes a concept that calls one for
/// unfulfilled, and says nothing.
struct takes_anything {
  template <class T>
  KVSIFT_HOST_DEVICE constexpr void operator()(T const&) const {}
};

}  // namespace kvsift
