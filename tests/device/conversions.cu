// fp8 there and back, as the architecture converts it.
#include <device/conversions.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/cuda/executor.cuh>
#include <kvsift/exec/group.hpp>

namespace device {

struct convert_task {
  float const* x;
  kvsift::fp8* codes;
  float *singly, *by_eight;
  std::uint32_t count;

  template <kvsift::cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t) const {
    for (std::uint32_t i = g.thread_rank(); i < count; i += g.num_threads()) kvsift::from_float(x[i], codes[i]);
    g.sync();
    for (std::uint32_t i = g.thread_rank(); i < count; i += g.num_threads()) singly[i] = kvsift::to_float(codes[i]);
    for (std::uint32_t i = g.thread_rank(); i < count / kvsift::lane_count; i += g.num_threads()) {
      kvsift::lanes eight;
      eight.load_aligned(codes + i * kvsift::lane_count);
      eight.store(by_eight + i * kvsift::lane_count);
    }
  }
};

void convert(cudaStream_t stream, float const* x, kvsift::fp8* codes, float* singly, float* by_eight, std::uint32_t count) {
  kvsift::cuda_executor(stream, 128).launch(1, convert_task{x, codes, singly, by_eight, count});
}

}  // namespace device
