#pragma once
// What differs between compilers, and nothing else.

/// A function that the CPU and a CUDA kernel both run.
#if defined(__CUDACC__)
#define KVSIFT_HOST_DEVICE __host__ __device__
#else
#define KVSIFT_HOST_DEVICE
#endif

/// 1 where the compiler offers vectors of any length as a type (g++ and clang on the host), 0 in CUDA sources.
#if defined(__GNUC__) && !defined(__CUDACC__)
#define KVSIFT_HAS_VECTOR_EXTENSION 1
#else
#define KVSIFT_HAS_VECTOR_EXTENSION 0
#endif

/// Inlined even where the compiler's own estimate says no: the inner loops of attention.
#if defined(__GNUC__) || defined(__CUDACC__)
#define KVSIFT_INLINE inline __attribute__((always_inline))
#else
#define KVSIFT_INLINE inline
#endif

/// Asks for the memory at `address` ahead of its use. Never a fault, on the GPU nothing.
#if defined(__GNUC__) && !defined(__CUDA_ARCH__)
#define KVSIFT_PREFETCH(address) __builtin_prefetch(address)
#else
#define KVSIFT_PREFETCH(address) ((void)0)
#endif

/// Before a loop of a few constant steps: all of them in a row.
#if defined(__CUDACC__)
#define KVSIFT_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define KVSIFT_UNROLL _Pragma("GCC unroll 8")
#else
#define KVSIFT_UNROLL
#endif

/// What a kernel is made of, inlined on a GPU: a function that is called there may not count on the registers of its caller. On the CPU
/// as the compiler likes.
#if defined(__CUDA_ARCH__)
#define KVSIFT_INLINE_IN_KERNELS inline __attribute__((always_inline))
#else
#define KVSIFT_INLINE_IN_KERNELS
#endif

/// Steps of attention's inner loops that stand in a row, so that as many loads are under way. A GPU has other threads for that, which need
/// the registers. No result depends on it.
#if defined(__CUDA_ARCH__)
#define KVSIFT_STEPS_IN_A_ROW 1
#else
#define KVSIFT_STEPS_IN_A_ROW 4
#endif

/// Before a function that calls what it is given: nvcc then leaves it to the caller whether that runs on the CPU or the GPU.
#if defined(__CUDACC__)
#define KVSIFT_CALLS_EITHER _Pragma("nv_exec_check_disable")
#else
#define KVSIFT_CALLS_EITHER
#endif
