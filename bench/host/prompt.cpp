// A prompt in one piece, by layer: attended to causally, cut down to the budget, survivors written. 32 heads of 128.
// Counter: multiplications and additions of the attention, a second.
// attention_mass: of the last 32 queries over all keys of a prompt, alone; multiplications and additions a second.
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

// The last `window` queries of a prompt, its keys and values. Huge pages, as the peer has them under its best allocator.
struct prompt_end {
  static constexpr std::uint32_t window = 32;
  static constexpr kvsift::cache_shape shape{.kv_heads = 32, .head_dim = 128};
  std::uint32_t tokens;
  kvsift::host_memory of_queries, of_keys, of_values, workspace;
  kvsift::observation_window given;
  std::vector<float> mass;

  explicit prompt_end(std::uint32_t n) : tokens(n), mass(std::size_t{shape.kv_heads} * n) {
    std::size_t const width = std::size_t{shape.kv_heads} * shape.head_dim * sizeof(float);
    of_queries = kvsift::host_memory(window * width);
    of_keys = kvsift::host_memory(tokens * width);
    of_values = kvsift::host_memory(tokens * width);
    bench::random_vectors random;
    for (kvsift::host_memory const* const array : {&of_queries, &of_keys, &of_values})
      for (std::size_t i = 0; i < array->size() / sizeof(float); i += 4096)
        std::copy_n(random.next(4096), 4096, reinterpret_cast<float*>(array->data()) + i);
    given = {reinterpret_cast<float const*>(of_queries.data()), keys(), tokens, window};
    workspace = kvsift::host_memory(kvsift::attention_mass_bytes(shape, given));
  }
  float const* keys() const { return reinterpret_cast<float const*>(of_keys.data()); }
  float const* values() const { return reinterpret_cast<float const*>(of_values.data()); }
  void measure_mass(kvsift::parallel_executor const& on) {
    kvsift::attention_mass(on, shape, given, mass.data(), tokens, workspace.data(), workspace.size());
  }
};

void attention_mass(benchmark::State& state) {
  prompt_end prompt(static_cast<std::uint32_t>(state.range(0)));
  kvsift::parallel_executor const on(static_cast<std::uint32_t>(state.range(1)));
  prompt.measure_mass(on);  // memory is touched for the first time
  for (auto _ : state) {
    prompt.measure_mass(on);
    benchmark::DoNotOptimize(prompt.mass.data());
  }
  double const operations = 2.0 * prompt_end::window * prompt.tokens * prompt_end::shape.kv_heads * prompt_end::shape.head_dim;
  state.counters["flop/s"] = benchmark::Counter(operations * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void compress_snapkv(benchmark::State& state) {
  prompt_end prompt(static_cast<std::uint32_t>(state.range(0)));
  auto const budget = static_cast<std::uint32_t>(state.range(1));
  kvsift::kv_tensor cache(prompt_end::shape, kvsift::snapkv(budget, prompt_end::window, 7), {.max_piece = prompt.tokens});
  kvsift::parallel_executor const on(static_cast<std::uint32_t>(state.range(2)));
  auto const compress = [&] {
    cache.clear();
    prompt.measure_mass(on);
    kvsift::compress(on, cache[0], prompt.keys(), prompt.values(), prompt.tokens, {.window = prompt.mass.data(), .pitch = prompt.tokens});
    benchmark::DoNotOptimize(cache.view().keys);
  };
  compress();  // memory is touched for the first time
  for (auto _ : state) compress();
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
BENCHMARK(attention_mass)->ArgNames({"tokens", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.2)
    ->Args({8192, 1})->Args({8192, 2});
BENCHMARK(compress_snapkv)->ArgNames({"tokens", "budget", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.2)
    ->Args({8192, 1024, 1})->Args({8192, 1024, 2})->Args({8192, 4096, 1})->Args({8192, 4096, 2});

}  // namespace
