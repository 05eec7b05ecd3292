// attention, step, step_and_gather, append, evict: of a layer, over as many layers as exceed an L2 five times. Units are layers.
#include <memory>
#include <string>
#include <vector>

#include <bench/device/rows.hpp>
#include <bench/device/running.hpp>

namespace bench {

namespace {

constexpr std::uint32_t evictions = 4;  // of a sample, each of one victim a head

pass_times time_evict(cudaStream_t stream, running& cache) {
  std::unique_ptr<counted_graph> graph;
  std::uint32_t below = 0;
  pass_times t = one_by_one(
      stream,
      [&] {
        graph = std::make_unique<counted_graph>(stream, [&] {
          for (std::uint32_t i = 0; i < evictions; ++i) cache.make_room(++below);
        });
      },
      [&] { graph->launch(stream); });
  t.kernels = graph->kernels, t.others = graph->others;
  return t;
}

void measure(benchmark::State& state, decode_case const& c) {
  device_limits const& limits = limits_of_device();
  if (c.memory(limits.l2_bytes) > limits.memory_bytes) return state.SkipWithError("the cache does not fit into this GPU's memory");
  kvsift::cache_shape const shape = c.shape(limits.l2_bytes);
  own_stream const stream;
  token_pool pool(stream.value);
  std::unique_ptr<running> const cache = make_running(stream.value, c, shape, pool);
  device_floats const out(stream.value, std::size_t{shape.layer_rows()} * shape.group * shape.head_dim);
  std::vector<kvsift::arrivals> tokens;
  for (std::uint32_t l = 0; l < shape.layers; ++l) tokens.push_back(pool.token(shape));

  double units = shape.layers;
  pass_times t;
  if (c.what == part::evict) {
    t = time_evict(stream.value, *cache);
    units *= evictions;
  } else if (c.what == part::attention) {
    t = replayed(stream.value, [&] {
      for (std::uint32_t l = 0; l < shape.layers; ++l) cache->attend(l, tokens[l].queries, out.data());
    });
  } else if (c.what == part::append) {
    t = replayed(stream.value, [&] {
      for (std::uint32_t l = 0; l < shape.layers; ++l) cache->append(l, tokens[l]);
    }, [&] { cache->replayed(); });
  } else {
    std::size_t const vectors = 2 * static_cast<std::size_t>(c.slots()), each = cache->vector_bytes();
    bool const gathers = c.what == part::step_and_gather;
    device_floats const fresh(stream.value, gathers ? vectors * each / sizeof(float) : 0), index(stream.value, gathers ? vectors : 0);
    auto* const kept = reinterpret_cast<std::uint32_t*>(index.data());
    if (gathers) enqueue_indices(stream.value, kept, vectors);
    t = replayed(stream.value, [&] {
      for (std::uint32_t l = 0; l < shape.layers; ++l) {
        cache->step(l, tokens[l], out.data());
        auto const* const from = static_cast<std::byte const*>(cache->vectors()) + l * vectors * each;
        if (gathers) enqueue_gather(stream.value, fresh.data(), from, kept, vectors, each);
      }
      cache->evict();
    }, [&] { cache->replayed(); });
  }
  report(state, t, units, c.bytes());
  state.counters["allocated"] = static_cast<double>(cache->allocated());
}

}  // namespace

void add_decode_rows() {
  for (decode_case const& c : decode_matrix()) add_row(c.name(), [c](benchmark::State& state) { measure(state, c); });
}

}  // namespace bench
