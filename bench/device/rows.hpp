#pragma once
// What a row of the benchmark is made of, whatever it measures.
#include <benchmark/benchmark.h>

#include <exception>
#include <functional>
#include <string>

#include <bench/device/floors.hpp>
#include <bench/device/measure.hpp>

namespace bench {

/// One pass did `units` like ones (layers, launches), each of which had to move `bytes`. The row's time is one unit's.
inline void report(benchmark::State& state, pass_times const& t, double units, double bytes) {
  double const each = t.seconds.median / units;
  state.SetIterationTime(each);
  state.counters["lower_us"] = t.seconds.lower / units * 1e6;
  state.counters["upper_us"] = t.seconds.upper / units * 1e6;
  state.counters["units"] = units;
  if (t.kernels + t.others != 0) {
    state.counters["launches"] = t.kernels / units;
    state.counters["not_launches"] = t.others / units;
  }
  state.counters["copy_GB/s"] = limits_of_device().copy / 1e9;
  if (bytes == 0) return;
  state.counters["bytes"] = bytes;
  state.counters["GB/s"] = bytes / each / 1e9;
  state.counters["of_copy"] = bytes / each / limits_of_device().copy;
}

/// Registers a row: measure(state) runs once, and reports. What it throws is the row's error.
inline benchmark::internal::Benchmark* add_row(std::string const& name, std::function<void(benchmark::State&)> const& measure) {
  return benchmark::RegisterBenchmark(name.c_str(), [measure](benchmark::State& state) {
    for (auto _ : state) {
      try {
        measure(state);
      } catch (std::exception const& error) {
        state.SkipWithError(error.what());
      }
    }
  })->Iterations(1)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

// Each adds its rows.
void add_floor_rows();
void add_decode_rows();
void add_prompt_rows();
void add_model_rows();

}  // namespace bench
