// The benchmark's caches and prompts over the stand-in of cuda_executor: some of them, and the floors that they need, on the host.
#include <algorithm>
#include <cstring>
#include <vector>

#include <bench/device/floors.hpp>
#include <bench/device/prompt.cu>
#include <bench/device/running.cuh>
#include <capture/recording_runtime.hpp>

namespace bench {

namespace {

template <class F>
void enqueue(F const& work) {
  if (capture::recorded().capturing) capture::recorded().captured.push_back(work);
  else work();
}

}  // namespace

device_limits const& limits_of_device() {
  static device_limits const small{1e9, 65536, 4e9};
  return small;
}
device_floats::device_floats(cudaStream_t stream, std::size_t count, float low, float high) : device_floats(stream, count) {
  std::uint32_t bits = static_cast<std::uint32_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    bits = bits * 1664525u + 1013904223u;
    data()[i] = low + (high - low) * static_cast<float>(bits >> 8) * 0x1p-24f;
  }
}
void enqueue_indices(cudaStream_t, std::uint32_t* index, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) index[i] = static_cast<std::uint32_t>((i + 1) % count);
}
void enqueue_gather(cudaStream_t, void* to, void const* from, std::uint32_t const* index, std::size_t count, std::size_t each) {
  enqueue([=] {
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(static_cast<std::byte*>(to) + i * each, static_cast<std::byte const*>(from) + index[i] * each, each);
  });
}

namespace {

/// What sorts, on the host.
class sorted_rows final : public row_selection {
 public:
  sorted_rows(select_case const& c, cub_sort how) : case_(c), how_(how), sorted_(std::size_t{c.rows} * c.length) {}
  void select(float const* scores) override {
    enqueue([this, scores] {
      sorted_.assign(scores, scores + sorted_.size());
      for (std::size_t r = 0; r < case_.rows; ++r) {
        auto const row = sorted_.begin() + static_cast<std::ptrdiff_t>(r * case_.length);
        std::sort(row, row + case_.length);
      }
    });
  }
  bool waits() const override { return how_ == cub_sort::segmented; }

 private:
  select_case case_;
  cub_sort how_;
  std::vector<float> sorted_;
};

}  // namespace

std::unique_ptr<row_selection> make_cub_selection(cudaStream_t, select_case const& c, cub_sort how) {
  return std::make_unique<sorted_rows>(c, how);
}

std::unique_ptr<running> make_running(cudaStream_t stream, decode_case const& c, kvsift::cache_shape const& shape, token_pool& pool) {
  using namespace kvsift;
  switch (c.policy) {
    case policy_kind::none: return make_running<policy_kind::none, bf16_payload, in_rows>(stream, c, shape, pool);
    case policy_kind::roco: return make_running<policy_kind::roco, bf16_payload, in_rows>(stream, c, shape, pool);
    case policy_kind::key_norm: return make_running<policy_kind::key_norm, bf16_payload, in_rows>(stream, c, shape, pool);
    case policy_kind::ragged: return make_running<policy_kind::ragged, bf16_payload, in_rows>(stream, c, shape, pool);
    default: throw bad_argument("the stand-in has no caches of this policy");
  }
}

}  // namespace bench
