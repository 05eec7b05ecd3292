#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include <kvsift/core/fp8.hpp>

namespace device {

/// Enqueues codes[i] = fp8 of x[i] and singly[i], by_eight[i] = what is read of codes[i], one by one and eight at a time, for i < count, a
/// multiple of eight. All arrays are the device's.
void convert(cudaStream_t stream, float const* x, kvsift::fp8* codes, float* singly, float* by_eight, std::uint32_t count);

}  // namespace device
