#pragma once
// How a GPU is timed: events around passes that are replayed as one graph, medians of samples.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <cuda_runtime_api.h>

#include <kvsift/cuda/memory.hpp>
#include <kvsift/cuda/status.hpp>

namespace bench {

using kvsift::cuda::check;

/// A stream of its own; waits for it in the end.
struct own_stream {
  cudaStream_t value = nullptr;
  own_stream() { check(cudaStreamCreateWithFlags(&value, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  own_stream(own_stream const&) = delete;
  ~own_stream() {
    (void)cudaStreamSynchronize(value);
    (void)cudaStreamDestroy(value);
  }
};

/// An array in device memory, of random numbers between low and high if these are given.
class device_floats {
 public:
  device_floats(cudaStream_t stream, std::size_t count) : block_(count * sizeof(float), stream, kvsift::cuda::stream_ordered()), count_(count) {}
  device_floats(cudaStream_t stream, std::size_t count, float low, float high);  // floors.cu
  float* data() const { return reinterpret_cast<float*>(block_.data()); }
  std::size_t size() const { return count_; }

 private:
  kvsift::cuda::device_block<kvsift::cuda::stream_ordered> block_;
  std::size_t count_;
};

/// Seconds on the device between two points of a stream.
class stopwatch {
 public:
  stopwatch() {
    check(cudaEventCreate(&begin_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  stopwatch(stopwatch const&) = delete;
  ~stopwatch() {
    (void)cudaEventDestroy(begin_);
    (void)cudaEventDestroy(end_);
  }
  template <class F>
  double seconds(cudaStream_t stream, F const& enqueue) {
    check(cudaEventRecord(begin_, stream), "cudaEventRecord");
    enqueue();
    check(cudaEventRecord(end_, stream), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return milliseconds / 1e3;
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// What a stream was given, as one graph; how many of its nodes are kernels, and how many are not.
class counted_graph {
 public:
  template <class F>
  counted_graph(cudaStream_t stream, F const& enqueue) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      enqueue();
    } catch (...) {
      (void)cudaStreamEndCapture(stream, &graph);
      (void)cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    std::size_t count = 0;
    check(cudaGraphGetNodes(graph, nullptr, &count), "cudaGraphGetNodes");
    std::vector<cudaGraphNode_t> nodes(count);
    check(cudaGraphGetNodes(graph, nodes.data(), &count), "cudaGraphGetNodes");
    for (cudaGraphNode_t const node : nodes) {
      cudaGraphNodeType type{};
      check(cudaGraphNodeGetType(node, &type), "cudaGraphNodeGetType");
      ++(type == cudaGraphNodeTypeKernel ? kernels : others);
    }
    check(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");
    check(cudaGraphUpload(executable_, stream), "cudaGraphUpload");
  }
  counted_graph(counted_graph const&) = delete;
  ~counted_graph() { (void)cudaGraphExecDestroy(executable_); }
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch"); }

  std::uint32_t kernels = 0, others = 0;

 private:
  cudaGraphExec_t executable_ = nullptr;
};

struct quartiles {
  double lower = 0, median = 0, upper = 0;
  explicit quartiles(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    std::size_t const n = samples.size();
    lower = samples[n / 4], median = samples[n / 2], upper = samples[n - 1 - n / 4];
  }
  quartiles() = default;
};

/// Of one pass of what is enqueued.
struct pass_times {
  quartiles seconds;
  std::uint32_t kernels = 0, others = 0;  ///< nodes of the graph
};

inline constexpr std::uint32_t sample_count = 9, most_replays = 16;
/// The most passes that a row runs: one before there is a graph, one to warm up, one to see how long it takes, and the samples.
inline constexpr std::uint32_t most_passes = 3 + sample_count * most_replays;

/// enqueue() is captured once and replayed; `again()` is called before each replay but the first. Samples are of as many replays as take a
/// millisecond.
template <class F, class Again>
pass_times replayed(cudaStream_t stream, F const& enqueue, Again const& again) {
  counted_graph const graph(stream, enqueue);
  stopwatch watch;
  graph.launch(stream);
  again();
  double const first = watch.seconds(stream, [&] { graph.launch(stream); });
  auto const replays = static_cast<std::uint32_t>(std::clamp(1e-3 / std::max(first, 1e-6), 1.0, double{most_replays}));
  std::vector<double> samples;
  for (std::uint32_t s = 0; s < sample_count; ++s) {
    for (std::uint32_t r = 0; r < replays; ++r) again();
    samples.push_back(watch.seconds(stream, [&] {
      for (std::uint32_t r = 0; r < replays; ++r) graph.launch(stream);
    }) / replays);
  }
  return {quartiles(samples), graph.kernels, graph.others};
}
template <class F>
pass_times replayed(cudaStream_t stream, F const& enqueue) {
  return replayed(stream, enqueue, [] {});
}

/// prepare() is not timed, enqueue() is, on the stream as it is: for what cannot be done twice.
template <class Prepare, class F>
pass_times one_by_one(cudaStream_t stream, Prepare const& prepare, F const& enqueue) {
  stopwatch watch;
  std::vector<double> samples;
  for (std::uint32_t s = 0; s <= sample_count; ++s) {
    prepare();
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    double const taken = watch.seconds(stream, enqueue);
    if (s != 0) samples.push_back(taken);
  }
  return {quartiles(samples)};
}

}  // namespace bench
