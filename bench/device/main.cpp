// The verbs on a GPU, against the copy bandwidth that the same process measures. Names of rows and their bytes: cases.hpp; how it is timed:
// measure.hpp; which goal a row belongs to: docs/guide/gpu.md. Exit status 77 where there is no GPU.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string_view>

#include <bench/device/rows.hpp>

int main(int argc, char** argv) {
  bool lists = false;  // names alone need no GPU
  for (int i = 1; i < argc; ++i) lists = lists || std::string_view(argv[i]).starts_with("--benchmark_list_tests");
  int count = 0;
  cudaError_t const status = cudaGetDeviceCount(&count);
  if (!lists && (status != cudaSuccess || count == 0)) {
    std::fprintf(stderr, "bench_device: no GPU here: %s\n", status == cudaSuccess ? "none is visible" : cudaGetErrorString(status));
    return 77;
  }
  bench::add_floor_rows();
  bench::add_decode_rows();
  bench::add_prompt_rows();
  bench::add_model_rows();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
