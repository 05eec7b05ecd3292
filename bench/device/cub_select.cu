// CUB's sorts of segments, of the toolkit that compiled them, as selections: what many would take for it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <cub/device/device_segmented_radix_sort.cuh>
#include <cub/device/device_segmented_sort.cuh>

#include <bench/device/measure.hpp>
#include <bench/device/prompt.hpp>
#include <kvsift/core/check.hpp>

namespace bench {

namespace {

class sorted_selection final : public row_selection {
 public:
  sorted_selection(cudaStream_t stream, select_case const& c, cub_sort how)
      : stream_(stream),
        case_(c),
        how_(how),
        offsets_(stream, c.rows + 1),
        sorted_(stream, std::size_t{c.rows} * c.length),
        bytes_(needed()),
        workspace_(stream, bytes_ / sizeof(float) + 1) {
    std::vector<std::int32_t> from(c.rows + 1);
    for (std::size_t r = 0; r < from.size(); ++r) from[r] = static_cast<std::int32_t>(r * c.length);
    check(cudaMemcpyAsync(offsets_.data(), from.data(), 4 * from.size(), cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync of offsets");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize of offsets");
  }
  void select(float const* scores) override { check(sort(workspace_.data(), bytes_, scores), "a sort of CUB"); }
  /// The other kind reads back how many segments are of which size, from some 500 segments on.
  bool waits() const override { return how_ == cub_sort::segmented; }

 private:
  cudaError_t sort(void* workspace, std::size_t& bytes, float const* scores) {
    auto const* const first = reinterpret_cast<std::int32_t const*>(offsets_.data());
    auto const rows = static_cast<std::int32_t>(case_.rows), all = static_cast<std::int32_t>(case_.rows * case_.length);
    if (how_ == cub_sort::segmented)
      return cub::DeviceSegmentedSort::SortKeys(workspace, bytes, scores, sorted_.data(), all, rows, first, first + 1, stream_);
    return cub::DeviceSegmentedRadixSort::SortKeys(workspace, bytes, scores, sorted_.data(), all, rows, first, first + 1, 0, 32, stream_);
  }
  std::size_t needed() {
    std::size_t bytes = 0;
    check(sort(nullptr, bytes, nullptr), "the workspace of a sort of CUB");
    return bytes;
  }

  cudaStream_t stream_;
  select_case case_;
  cub_sort how_;
  device_floats offsets_, sorted_;
  std::size_t bytes_;
  device_floats workspace_;
};

}  // namespace

std::unique_ptr<row_selection> make_cub_selection(cudaStream_t stream, select_case const& c, cub_sort how) {
  return std::make_unique<sorted_selection>(stream, c, how);
}

}  // namespace bench
