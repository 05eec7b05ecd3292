#pragma once

#include <utility>

#include <cuda_runtime_api.h>

#include <kvsift/cuda/status.hpp>

namespace kvsift::cuda {

/// Work that was captured from a stream, ready to be launched again and again. Lengths of rows, and who is paused, lie in device
/// memory: a graph of one token's verbs stays valid as they change. What it works on has to outlive it.
class graph {
 public:
  graph() = default;
  graph(graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  graph& operator=(graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    return *this;
  }
  ~graph() {
    if (executable_ != nullptr && cudaGraphExecDestroy(executable_) != cudaSuccess) (void)cudaGetLastError();
  }

  /// Captures what enqueue() puts on the stream; nothing of it runs. What enqueue throws comes through, with the capture ended.
  template <class F>
  static graph capture(cudaStream_t stream, F const& enqueue) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    captured work;
    try {
      enqueue();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &work.graph) != cudaSuccess) (void)cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &work.graph), "cudaStreamEndCapture",
          "something that was called cannot be captured, such as a copy to the host");
    graph made;
    check(cudaGraphInstantiate(&made.executable_, work.graph, 0), "cudaGraphInstantiate");
    return made;
  }
  /// Enqueues all of it at once.
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch"); }

 private:
  struct captured {
    cudaGraph_t graph = nullptr;
    captured() = default;
    captured(captured const&) = delete;
    ~captured() {
      if (graph != nullptr && cudaGraphDestroy(graph) != cudaSuccess) (void)cudaGetLastError();
    }
  };
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace kvsift::cuda
