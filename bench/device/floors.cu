#include <bench/device/floors.hpp>

#include <algorithm>

#include <cooperative_groups.h>

namespace bench {

namespace {

constexpr unsigned threads = 256;

/// Each block takes 16 bytes a thread, four times: 16 KiB.
constexpr std::size_t block_bytes = threads * 16 * 4;

__global__ void copy_kernel(uint4* to, uint4 const* from) {
  std::size_t const first = blockIdx.x * std::size_t{4 * threads} + threadIdx.x;
  uint4 v[4];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) v[i] = from[first + i * threads];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) to[first + i * threads] = v[i];
}

__global__ void read_kernel(uint4 const* from, unsigned* sink) {
  std::size_t const first = blockIdx.x * std::size_t{4 * threads} + threadIdx.x;
  unsigned all = 0;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    uint4 const v = from[first + i * threads];
    all ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  if (all == 0x5bd1e995u) *sink = all;  // hardly ever: the reads count, and nothing is written
}

__global__ void write_kernel(uint4* to, unsigned seed) {
  std::size_t const first = blockIdx.x * std::size_t{4 * threads} + threadIdx.x;
  unsigned const x = static_cast<unsigned>(first) * 2654435761u ^ seed;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) to[first + i * threads] = make_uint4(x, x + i, x ^ i, x * 3);
}

__device__ unsigned mixed(unsigned x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

__global__ void random_kernel(float* to, std::size_t count, float low, float high, unsigned seed) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count; i += step) {
    unsigned const bits = mixed(mixed(static_cast<unsigned>(i)) ^ mixed(static_cast<unsigned>(i >> 32) + seed));
    to[i] = low + (high - low) * static_cast<float>(bits >> 8) * 0x1p-24f;
  }
}

__global__ void indices_kernel(std::uint32_t* index, std::uint32_t count) {
  std::uint32_t const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) index[i] = i + 1 < count ? i + 1 : 0;  // as if one slot had left each row
}

/// A group of threads as wide as a vector takes a vector.
__global__ void gather_kernel(uint4* to, uint4 const* from, std::uint32_t const* index, std::size_t count, unsigned each) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count * each; i += step)
    to[i] = from[std::size_t{index[i / each]} * each + i % each];
}

__global__ void empty_kernel() {}

__global__ void dependent_kernel() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
}

__global__ void cluster_kernel() {
#if __CUDA_ARCH__ >= 900
  cooperative_groups::this_cluster().sync();
#endif
}

unsigned blocks_of(std::size_t bytes) { return static_cast<unsigned>(bytes / block_bytes); }
void check_launch(char const* what) { check(cudaGetLastError(), what); }

}  // namespace

void enqueue_copy(cudaStream_t stream, void* to, void const* from, std::size_t bytes) {
  copy_kernel<<<blocks_of(bytes), threads, 0, stream>>>(static_cast<uint4*>(to), static_cast<uint4 const*>(from));
  check_launch("launch of copy_kernel");
}
void enqueue_read(cudaStream_t stream, void const* from, std::size_t bytes, unsigned* sink) {
  read_kernel<<<blocks_of(bytes), threads, 0, stream>>>(static_cast<uint4 const*>(from), sink);
  check_launch("launch of read_kernel");
}
void enqueue_write(cudaStream_t stream, void* to, std::size_t bytes) {
  write_kernel<<<blocks_of(bytes), threads, 0, stream>>>(static_cast<uint4*>(to), 20240607);
  check_launch("launch of write_kernel");
}
void enqueue_random(cudaStream_t stream, float* to, std::size_t count, float low, float high, std::uint32_t seed) {
  random_kernel<<<1024, threads, 0, stream>>>(to, count, low, high, seed);
  check_launch("launch of random_kernel");
}
void enqueue_indices(cudaStream_t stream, std::uint32_t* index, std::size_t count) {
  indices_kernel<<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, stream>>>(index, static_cast<std::uint32_t>(count));
  check_launch("launch of indices_kernel");
}
void enqueue_gather(cudaStream_t stream, void* to, void const* from, std::uint32_t const* index, std::size_t count, std::size_t bytes_each) {
  auto const each = static_cast<unsigned>(bytes_each / 16);
  gather_kernel<<<4096, threads, 0, stream>>>(static_cast<uint4*>(to), static_cast<uint4 const*>(from), index, count, each);
  check_launch("launch of gather_kernel");
}

void enqueue_empty(cudaStream_t stream, bool dependent) {
  if (!dependent) {
    empty_kernel<<<1, 32, 0, stream>>>();
    return check_launch("launch of empty_kernel");
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(1);
  config.blockDim = dim3(32);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, dependent_kernel), "cudaLaunchKernelEx of dependent_kernel");
}

namespace {

/// A launch in clusters; the attribute has to live as long.
cudaLaunchConfig_t clustered(cudaStream_t stream, std::uint32_t blocks, std::uint32_t size, cudaLaunchAttribute& attribute) {
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = size;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3((blocks + size - 1) / size * size);
  config.blockDim = dim3(128);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return config;
}

}  // namespace

bool admits_clusters(std::uint32_t size) {
  if (size > 8 && cudaFuncSetAttribute(cluster_kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  cudaLaunchAttribute attribute{};
  cudaLaunchConfig_t const config = clustered(nullptr, size, size, attribute);
  int active = 0;
  bool const known = cudaOccupancyMaxActiveClusters(&active, cluster_kernel, &config) == cudaSuccess;
  if (!known) (void)cudaGetLastError();
  return known && active != 0;
}

void enqueue_cluster(cudaStream_t stream, std::uint32_t blocks, std::uint32_t size) {
  cudaLaunchAttribute attribute{};
  cudaLaunchConfig_t const config = clustered(stream, blocks, size, attribute);
  check(cudaLaunchKernelEx(&config, cluster_kernel), "cudaLaunchKernelEx of cluster_kernel");
}

device_floats::device_floats(cudaStream_t stream, std::size_t count, float low, float high) : device_floats(stream, count) {
  static std::uint32_t seed = 0;
  enqueue_random(stream, data(), count, low, high, ++seed);
}

device_limits const& limits_of_device() {
  static device_limits const known = [] {
    int device = 0, l2 = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device), "cudaDeviceGetAttribute");
    own_stream const stream;
    constexpr std::size_t count = std::size_t{1} << 28, bytes = count * sizeof(float);
    device_floats const from(stream.value, count, -1, 1), to(stream.value, count);
    double const runtime = replayed(stream.value, [&] {
      check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, stream.value), "cudaMemcpyAsync");
    }).seconds.median;
    double const own = replayed(stream.value, [&] { enqueue_copy(stream.value, to.data(), from.data(), bytes); }).seconds.median;
    std::size_t available = 0, total = 0;
    check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
    return device_limits{2.0 * bytes / std::min(runtime, own), static_cast<double>(l2), static_cast<double>(available + 2 * bytes)};
  }();
  return known;
}

}  // namespace bench
