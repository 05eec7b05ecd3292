#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

// A CUDA runtime that runs nothing: it records what it is asked for. Its memory is the host's. Linked in place of the toolkit's, so that
// what a step enqueues can be counted where there is no GPU. It has one device, so that tests of a GPU can be tried over it.
namespace capture {

enum class asked { launch, product, allocation, release, copy, wait, begin_capture, end_capture, instantiate, graph_launch };

struct call {
  asked what;
  cudaStream_t stream;
  std::string kernel{};      ///< of a launch: its name, as the linker has it
  std::uint32_t blocks = 0;  ///< of a launch
  std::uint32_t threads = 0;
  std::size_t bytes = 0;     ///< of an allocation or copy
};

struct recording {
  std::vector<call> calls{};
  std::size_t in_use = 0;           ///< allocations not yet released
  std::size_t refused_above = ~std::size_t{0};  ///< bytes of an allocation that are not there
  cudaError_t next_launch = cudaSuccess;        ///< what the next launch comes to
  cudaError_t last = cudaSuccess;               ///< what cudaGetLastError says
  bool capturing = false;
  std::vector<std::function<void()>> captured{};  ///< by a stand-in for the executor: what launches of the graph do

  std::size_t count(asked what) const {
    std::size_t n = 0;
    for (call const& c : calls) n += c.what == what ? 1 : 0;
    return n;
  }
};

recording& recorded();

}  // namespace capture
