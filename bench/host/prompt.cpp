// A prompt in one piece, by layer: attended to causally, cut down to the budget, survivors written. 32 heads of 128.
// Counter: multiplications and additions of the attention, a second.
// compress_snapkv: the attention was somebody else's; mass of the last 32 queries, pooling, selection, survivors written.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include <bench/common/running_cache.hpp>
#include <kvsift/evict/attention_mass.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/policy/named.hpp>

namespace {

template <class Policy>
void prompt(benchmark::State& state, Policy const& policy) {
  std::uint32_t const tokens = static_cast<std::uint32_t>(state.range(0));
  kvsift::cache_shape const shape{.kv_heads = 32, .head_dim = 128};
  kvsift::kv_tensor<Policy> cache(shape, policy, {.capacity = tokens, .max_piece = tokens});
  std::size_t const elements = std::size_t{tokens} * shape.kv_heads * shape.head_dim;
  std::vector<float> queries(elements), keys(elements), values(elements), out(elements);
  bench::random_vectors random;
  for (std::vector<float>* const array : {&queries, &keys, &values})
    for (std::size_t i = 0; i < elements; i += 4096) std::copy_n(random.next(4096), 4096, array->data() + i);
  kvsift::parallel_executor const on(static_cast<std::uint32_t>(state.range(2)));
  for (auto _ : state) {
    cache.clear();
    kvsift::step(on, cache[0], {queries.data(), keys.data(), values.data(), tokens}, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  double const operations = 2.0 * tokens * (tokens + 1.0) * shape.kv_heads * shape.head_dim;
  state.counters["flop/s"] = benchmark::Counter(operations * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// Nothing is fed or cut: attention alone.
void fits(benchmark::State& state) { prompt(state, kvsift::full()); }
void roco(benchmark::State& state) {
  std::uint32_t const budget = static_cast<std::uint32_t>(state.range(1));
  prompt(state, kvsift::roco(budget, budget * 3 / 10 - 9));
}
void key_norm(benchmark::State& state) { prompt(state, kvsift::key_norm(static_cast<std::uint32_t>(state.range(1)), 4, 10)); }
void heavy_hitter(benchmark::State& state) {
  prompt(state, kvsift::heavy_hitter(static_cast<std::uint32_t>(state.range(1)), 4, 10));
}

void compress_snapkv(benchmark::State& state) {
  std::uint32_t const tokens = static_cast<std::uint32_t>(state.range(0)), budget = static_cast<std::uint32_t>(state.range(1));
  constexpr std::uint32_t window = 32;
  kvsift::cache_shape const shape{.kv_heads = 32, .head_dim = 128};
  kvsift::kv_tensor cache(shape, kvsift::snapkv(budget, window, 7), {.max_piece = tokens});
  std::size_t const width = std::size_t{shape.kv_heads} * shape.head_dim;
  std::vector<float> queries(window * width), keys(tokens * width), values(tokens * width);
  bench::random_vectors random;
  for (std::vector<float>* const array : {&queries, &keys, &values})
    for (std::size_t i = 0; i < array->size(); i += 4096) std::copy_n(random.next(4096), 4096, array->data() + i);
  kvsift::observation_window const given{queries.data(), keys.data(), tokens, window};
  std::size_t const bytes = kvsift::attention_mass_bytes(shape, given);
  kvsift::host_memory const workspace(bytes);
  std::vector<float> mass(std::size_t{shape.kv_heads} * tokens);
  kvsift::parallel_executor const on(static_cast<std::uint32_t>(state.range(2)));
  for (auto _ : state) {
    cache.clear();
    kvsift::attention_mass(on, shape, given, mass.data(), tokens, workspace.data(), bytes);
    kvsift::compress(on, cache[0], keys.data(), values.data(), tokens, {.window = mass.data(), .pitch = tokens});
    benchmark::DoNotOptimize(cache.view().keys);
  }
  state.counters["layers"] = 1;
}

void arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "budget", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.2);
  for (std::int64_t const threads : {1, 2}) b->Args({2048, 512, threads});
}
BENCHMARK(fits)->Apply(arguments);
BENCHMARK(roco)->Apply(arguments);
BENCHMARK(key_norm)->Apply(arguments);
BENCHMARK(heavy_hitter)->Apply(arguments);
BENCHMARK(compress_snapkv)->ArgNames({"tokens", "budget", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.2)
    ->Args({8192, 1024, 1})->Args({8192, 1024, 2})->Args({8192, 4096, 1})->Args({8192, 4096, 2});

}  // namespace
