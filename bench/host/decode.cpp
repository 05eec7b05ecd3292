// One decode step of 32 KV heads over as many layers as exceed every cache: attention alone, attention with a policy, and
// the policy alone. Names: step/payload/policy head_dim budget group threads.
// Counters: bytes of K and V, their share of a second, and the share of this process's own read bandwidth that is reached.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <bench/common/floors.hpp>
#include <bench/common/running_cache.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/policy/named.hpp>
#include <kvsift/position/in_cache.hpp>
#include <kvsift/position/rerotated.hpp>
#include <kvsift/position/two_queries.hpp>

namespace {

enum class part { attention, step, policy };

// Bandwidths by number of threads, measured when first asked for.
bench::bandwidths const& bandwidth_of(std::uint32_t threads) {
  static std::map<std::uint32_t, bench::bandwidths> known;
  auto const found = known.find(threads);
  if (found != known.end()) return found->second;
  return known[threads] = bench::measure_bandwidths(kvsift::parallel_executor(threads));
}

// The cache of the benchmark that runs. One at a time: the largest takes half a gigabyte.
std::shared_ptr<void> current;
std::string current_name;

template <class Cache, class Policy>
Cache& running(Policy const& policy, kvsift::cache_shape const& shape, std::uint32_t budget, std::string const& name) {
  if (current_name != name) {
    current.reset();
    current = std::make_shared<Cache>(policy, shape, budget);
    current_name = name;
  }
  return *static_cast<Cache*>(current.get());
}

template <class Payload, class Position>
void decode(benchmark::State& state, part what, auto const& policy_of, std::string const& name) {
  auto const argument = [&](std::size_t i) { return static_cast<std::uint32_t>(state.range(i)); };
  std::uint32_t const budget = argument(1);
  std::uint32_t const threads = argument(3);
  kvsift::cache_shape shape{.kv_heads = 32, .group = argument(2), .head_dim = argument(0)};
  shape.layers = bench::layers_of(std::size_t{shape.kv_heads} * budget * 2 * Payload::bytes(shape.head_dim));
  auto const policy = policy_of(budget);
  using cache_type = bench::running_cache<std::remove_cvref_t<decltype(policy)>, Payload, kvsift::in_rows, Position>;
  std::string const key = name + std::to_string(budget) + "/" + std::to_string(shape.head_dim) + "/" + std::to_string(shape.group);
  cache_type& cache = running<cache_type>(policy, shape, budget, key);
  kvsift::parallel_executor const on(threads);
  std::vector<float> const masses(shape.layer_rows() * (budget + 1), 1.0f / static_cast<float>(budget));
  bench::bandwidths const limit = bandwidth_of(threads);
  for (auto _ : state) {
    if (what == part::attention) cache.attend(on);
    if (what == part::step) cache.step(on);
    if (what == part::policy) cache.policy_step(on, masses.data(), budget + 1);
  }
  double const bytes = cache.vector_bytes() * static_cast<double>(state.iterations());
  state.counters["layers"] = shape.layers;
  state.counters["read_GB/s"] = limit.read / 1e9;
  state.counters["copy_GB/s"] = limit.copy / 1e9;
  if (what == part::policy) return;
  state.counters["bytes"] = cache.vector_bytes();
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsRate);
  state.counters["of_read_floor"] = benchmark::Counter(bytes / limit.read, benchmark::Counter::kIsRate);
}

template <class Payload>
void declare(char const* payload) {
  auto const at_positions = [&]<class Position>(char const* title, part what, auto const& policy_of, Position) {
    std::string const name = std::string(title) + "/" + payload;
    auto* const b = benchmark::RegisterBenchmark(
        name.c_str(), [=](benchmark::State& state) { decode<Payload, Position>(state, what, policy_of, name); });
    b->ArgNames({"head_dim", "budget", "group", "threads"})->UseRealTime()->MinTime(0.2)->Unit(benchmark::kMillisecond);
    for (std::int64_t const dim : {128, 64})
      for (std::int64_t const budget : {512, 2048, 8192})
        for (std::int64_t const threads : {1, 2}) {
          b->Args({dim, budget, 1, threads});
          if (what != part::policy && budget == 2048) b->Args({dim, budget, 4, threads});
        }
  };
  auto const one = [&](char const* title, part what, auto const& policy_of) {
    at_positions(title, what, policy_of, kvsift::original_positions{});
  };
  auto const third = [](std::uint32_t b) { return b * 3 / 10; };
  auto const sum = [=](std::uint32_t b) { return kvsift::accumulated_attention_policy(b, third(b)); };
  auto const roco = [=](std::uint32_t b) { return kvsift::roco(b, third(b) - 9); };
  one("attention", part::attention, [](std::uint32_t) { return kvsift::full(); });
  one("step/accumulated_attention", part::step, sum);
  one("step/roco", part::step, roco);
  if constexpr (std::is_same_v<Payload, kvsift::fp32_payload>) {
    auto const window = [](std::uint32_t b) { return kvsift::streaming_llm(4, b - 4); };
    at_positions("step/streaming_llm", part::step, window, kvsift::original_positions{});
    at_positions("step/streaming_llm/two_queries", part::step, window, kvsift::two_query_positions{});
    at_positions("step/streaming_llm/in_cache", part::step, window, kvsift::in_cache_positions{});
    at_positions("step/streaming_llm/rerotated", part::step, window, kvsift::rerotated_positions{});
    one("policy/accumulated_attention", part::policy, sum);
    one("policy/roco", part::policy, roco);
    one("policy/key_norm", part::policy, [](std::uint32_t b) { return kvsift::key_norm(b, 4, 10); });
    one("policy/lsh_16", part::policy, [](std::uint32_t b) { return kvsift::lsh(b, 4, 10); });
    one("policy/lsh_64", part::policy, [](std::uint32_t b) { return kvsift::lsh(b, 4, 10, kvsift::signature{64}); });
  }
}

int const declared = [] {
  declare<kvsift::fp32_payload>("fp32");
  declare<kvsift::fp16_payload>("fp16");
  declare<kvsift::bf16_payload>("bf16");
  declare<kvsift::fp8_payload>("fp8");
  return 0;
}();

}  // namespace
