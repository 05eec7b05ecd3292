#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/executor.hpp>
#include <reference_model/model/matrix.hpp>

#if defined(REFERENCE_MODEL_BLAS)
#include <cblas.h>
#endif

namespace reference_model {

/// One matrix that x is multiplied with: out [n, rows] = x [n, columns] times weights [rows, columns] transposed.
struct product {
  weight_view weights;
  std::uint32_t rows;
  float* out;
};

namespace detail {

// R rows times T tokens at once. Whatever R and T, an element is eight lane sums, added in a fixed order, then the tail:
// so a token's result does not depend on how many tokens came with it, nor on the number of threads.
template <std::uint32_t R, std::uint32_t T>
KVSIFT_INLINE void tile(float const* weights, float const* x, std::uint32_t columns, float* out, std::uint32_t rows) {
  using kvsift::lane_count;
  kvsift::lanes sums[R][T];
  for (auto& row : sums)
    for (kvsift::lanes& s : row) s.fill(0);
  std::uint32_t const whole = columns / lane_count * lane_count;
  for (std::uint32_t c = 0; c < whole; c += lane_count) {
    kvsift::lanes in[T];
    KVSIFT_UNROLL for (std::uint32_t t = 0; t < T; ++t) in[t].load(x + std::size_t{t} * columns + c);
    KVSIFT_UNROLL for (std::uint32_t r = 0; r < R; ++r) {
      kvsift::lanes w;
      w.load(weights + std::size_t{r} * columns + c);
      KVSIFT_UNROLL for (std::uint32_t t = 0; t < T; ++t) sums[r][t].add_product(w, in[t]);
    }
  }
  for (std::uint32_t r = 0; r < R; ++r)
    for (std::uint32_t t = 0; t < T; ++t) {
      float sum = sums[r][t].sum();
      for (std::uint32_t c = whole; c < columns; ++c)
        sum += weights[std::size_t{r} * columns + c] * x[std::size_t{t} * columns + c];
      out[std::size_t{t} * rows + r] = sum;
    }
}

template <std::uint32_t R>
void rows_of(float const* weights, float const* x, std::uint32_t n, std::uint32_t columns, float* out, std::uint32_t rows) {
  std::uint32_t t = 0;
  for (; t + 2 <= n; t += 2)
    tile<R, 2>(weights, x + std::size_t{t} * columns, columns, out + std::size_t{t} * rows, rows);
  if (t < n) tile<R, 1>(weights, x + std::size_t{t} * columns, columns, out + std::size_t{t} * rows, rows);
}

}  // namespace detail

/// Multiplies x [n, columns] with several matrices at once, on the host. Output rows are spread over the executor's blocks; allocates
/// nothing. Reads each weight once per two tokens. With REFERENCE_MODEL_BLAS pieces of several tokens go to cblas_sgemm.
/// Weights in fp32. An executor of a device has a linear of its own, found by its namespace, which takes weights in 16 bits, too, and
/// may round x into `narrowed` [n, columns] for them.
template <class Executor, std::size_t Count>
void linear(Executor const& on, float const* x, std::uint32_t n, std::uint32_t columns,
            std::array<product, Count> const& products, void* /*narrowed*/ = nullptr) {
#if defined(REFERENCE_MODEL_BLAS)
  if (std::is_same_v<kvsift::space_of<Executor>, kvsift::host_space> && n > 1) {
    for (product const& p : products)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(n), static_cast<int>(p.rows),
                  static_cast<int>(columns), 1.0f, x, static_cast<int>(columns), p.weights.data(), static_cast<int>(columns),
                  0.0f, p.out, static_cast<int>(p.rows));
    return;
  }
#endif
  constexpr std::uint32_t per_block = 1u << 15;  // products of one block, about: 128 KiB of weights for one token
  std::uint32_t const work = columns * std::min<std::uint32_t>(n, 8);
  std::uint32_t const height = std::max<std::uint32_t>(4, per_block / work / 4 * 4);
  std::uint32_t total = 0;
  for (product const& p : products) total += (p.rows + 3) / 4 * 4;
  on.launch((total + height - 1) / height, [&](auto const& g, std::uint32_t block) {
    std::uint32_t const own = 4 * g.thread_rank(), apart = 4 * g.num_threads();
    std::uint32_t first = block * height, last = first + height;  // of the rows of all products, one after another
    for (product const& p : products) {
      std::uint32_t const padded = (p.rows + 3) / 4 * 4;
      std::uint32_t r = std::min(first, p.rows) + own;
      std::uint32_t const end = std::min(last, p.rows);
      for (; r + 4 <= end; r += apart)
        detail::rows_of<4>(p.weights.data() + std::size_t{r} * columns, x, n, columns, p.out + r, p.rows);
      for (std::uint32_t const stop = std::min(end, r + 4); r < stop; ++r)
        detail::rows_of<1>(p.weights.data() + std::size_t{r} * columns, x, n, columns, p.out + r, p.rows);
      first -= std::min(first, padded);
      last -= std::min(last, padded);
    }
  });
}

}  // namespace reference_model
