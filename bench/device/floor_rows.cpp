// copy, read, write: bandwidths. launch: what one more kernel costs. Units are launches.
#include <cstddef>
#include <string>

#include <bench/device/rows.hpp>

namespace bench {

namespace {

/// A buffer for each pass in turn: three, of which the least is four times an L2.
void bandwidth(benchmark::State& state, std::string const& what, std::size_t bytes) {
  own_stream const stream;
  std::size_t const count = bytes / sizeof(float);
  device_floats const from(stream.value, 3 * count, -1, 1), to(stream.value, 3 * count);
  unsigned* const sink = reinterpret_cast<unsigned*>(to.data());
  pass_times const t = replayed(stream.value, [&] {
    for (std::size_t i = 0; i < 3; ++i) {
      float* const target = to.data() + i * count;
      float const* const source = from.data() + i * count;
      if (what == "copy/runtime") check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream.value), "cudaMemcpyAsync");
      else if (what == "copy/kernel") enqueue_copy(stream.value, target, source, bytes);
      else if (what == "read") enqueue_read(stream.value, source, bytes, sink);
      else enqueue_write(stream.value, target, bytes);
    }
  });
  report(state, t, 3, static_cast<double>(bytes) * (what.starts_with("copy") ? 2 : 1));
}

constexpr double launches = 1000;

template <class F>
void spacing(benchmark::State& state, bool graph, F const& enqueue) {
  own_stream const stream;
  auto const all = [&] {
    for (int i = 0; i < static_cast<int>(launches); ++i) enqueue(stream.value);
  };
  report(state, graph ? replayed(stream.value, all) : one_by_one(stream.value, [] {}, all), launches, 0);
}

}  // namespace

void add_floor_rows() {
  for (std::string const what : {"copy/runtime", "copy/kernel", "read", "write"})
    for (std::size_t const mib : {256u, 1024u, 4096u})
      add_row(what + "/MiB" + std::to_string(mib), [=](benchmark::State& state) { bandwidth(state, what, mib << 20); });
  for (bool const graph : {false, true}) {
    std::string const way = graph ? "/graph" : "/stream";
    for (bool const dependent : {false, true})
      add_row(std::string("launch/") + (dependent ? "dependent" : "empty") + way,
              [=](benchmark::State& state) { spacing(state, graph, [=](cudaStream_t s) { enqueue_empty(s, dependent); }); });
    for (std::uint32_t const size : {1u, 2u, 4u, 8u, 16u})
      add_row("launch/cluster" + std::to_string(size) + way, [=](benchmark::State& state) {
        if (!admits_clusters(size)) return state.SkipWithError("this GPU has no clusters of so many blocks");
        spacing(state, graph, [=](cudaStream_t s) { enqueue_cluster(s, 128, size); });
      });
  }
}

}  // namespace bench
