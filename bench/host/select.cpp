// Selection by itself: the one victim of a decode step, and the many of a prompt. Rows of scores that no cache holds.
// Counter: bytes of scores and positions, and the share of this process's own read bandwidth that is reached.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include <bench/common/floors.hpp>
#include <bench/common/running_cache.hpp>
#include <kvsift/evict/choose.hpp>

namespace {

struct scores {
  float const* values;
  float operator()(std::uint32_t slot) const { return values[slot]; }
};

// Rows of n scores, in turn.
class rows_of_scores {
 public:
  explicit rows_of_scores(std::uint32_t n) : n_(n), rows_((std::uint32_t{32} << 20) / n), positions_(n), values_(std::size_t{n} * rows_) {
    bench::random_vectors random;
    for (std::uint32_t i = 0; i < n; ++i) positions_[i] = i;
    for (std::uint32_t r = 0; r < rows_; ++r) std::copy_n(random.next(n), n, values_.data() + std::size_t{r} * n);
  }
  kvsift::candidates<scores, scores> next(std::uint32_t excluded) {
    row_ = (row_ + 1) % rows_;
    scores const row{values_.data() + std::size_t{row_} * n_};
    return {row, row, positions_.data(), kvsift::protect{4, 10}, n_, n_, excluded};
  }

 private:
  std::uint32_t n_, rows_, row_ = 0;
  std::vector<std::uint32_t> positions_;
  std::vector<float> values_;
};

void count_bytes(benchmark::State& state, std::uint32_t n) {
  static double const read = bench::measure_bandwidths(kvsift::serial_executor{}).read;
  double const bytes = static_cast<double>(state.iterations()) * n * sizeof(float);
  state.counters["read_GB/s"] = read / 1e9;
  state.counters["bytes"] = static_cast<double>(n * sizeof(float));
  state.counters["of_read_floor"] = benchmark::Counter(bytes / read, benchmark::Counter::kIsRate);
}

// The rank test sees the rank that ends at the other end of the scores: the lowest score has the lowest rank, so that
// candidates are refused until the bisection decides. What it costs at worst.
void one(benchmark::State& state) {
  std::uint32_t const n = static_cast<std::uint32_t>(state.range(0));
  std::uint32_t const excluded = static_cast<std::uint32_t>(n * state.range(1) / 100);
  rows_of_scores rows(n);
  std::uint32_t words[2];
  for (auto _ : state) benchmark::DoNotOptimize(kvsift::choose_one(kvsift::serial_group{}, rows.next(excluded), words));
  count_bytes(state, n);
}

void many(benchmark::State& state) {
  std::uint32_t const n = static_cast<std::uint32_t>(state.range(0));
  std::uint32_t const kept = static_cast<std::uint32_t>(state.range(1));
  rows_of_scores rows(n);
  std::vector<std::uint32_t> keys(n), marks(n);
  std::uint32_t words[2];
  for (auto _ : state) {
    auto const c = rows.next(0);
    kvsift::serial_group const g;
    kvsift::write_keys(g, c, keys.data(), marks.data());
    kvsift::selection_cut const cut =
        kvsift::cut_of_many(g, c.positions, n, c.excluded, n - kept, kvsift::pick::keepers, keys.data(), marks.data(), words);
    auto const ties = kvsift::ties_of(c.positions, kvsift::pick::keepers);
    for (std::uint32_t i = 0; i < n; ++i) marks[i] = cut.holds(keys[i], ties, i) ? 1u : 0u;
    benchmark::DoNotOptimize(marks.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, n);
}

BENCHMARK(one)->ArgNames({"slots", "excluded%"})->ArgsProduct({{512, 2048, 8192}, {0, 30}})->MinTime(0.2);
BENCHMARK(many)->ArgNames({"tokens", "kept"})->Args({2048, 512})->Args({8192, 1024})->Args({32768, 2048})->MinTime(0.2);

}  // namespace
