// The matrix product of a block in its memory: against products_of, bit for bit, and against double-precision loops.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/cache/memory.hpp>
#include <kvsift/collective/block_products.hpp>
#include <kvsift/collective/product.hpp>
#include <kvsift/exec/executor.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/split_rows.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

template <bool Aligned>
struct product_task {
  float const* queries;
  u32 count, dim;
  float const* keys;
  std::size_t stride;
  u32 n;
  float* out;  // [count, n]

  std::size_t block_bytes(u32) const {
    carver counted;
    product_tile::carve(counted, count);
    return counted.bytes;
  }

  template <cooperative_group G>
  void operator()(G const& g, u32) const {
    carver memory{g.memory()};
    product_tile const tile = product_tile::carve(memory, count);
    block_products<Aligned>(g, queries, dim, keys, stride, n, tile);
    for (u32 i = g.thread_rank(); i < count * n; i += g.num_threads()) out[i] = tile.products[i / n * tile.pitch() + i % n];
    g.sync();
  }
};

template <bool Aligned>
std::vector<float> products(u32 threads, float const* queries, u32 count, u32 dim, float const* keys, std::size_t stride, u32 n) {
  std::vector<float> out(std::size_t{count} * n, -1.0f);
  support::split_executor{threads}.launch(1, product_task<Aligned>{queries, count, dim, keys, stride, n, out.data()});
  return out;
}

}  // namespace

TEST_CASE("a block's products are products_of, the same bits for any number of threads, keys aligned or not") {
  support::for_each_seed(30, [](std::uint64_t seed) {
    support::draws d(seed);
    u32 const count = static_cast<u32>(d.between(1, 16)) * lane_count;
    u32 const dim = seed % 2 == 0 ? static_cast<u32>(d.between(1, 12)) * 4 : static_cast<u32>(d.between(1, 40));
    u32 const n = static_cast<u32>(d.between(1, static_cast<int>(product_tile::keys_of(count))));
    std::size_t const stride = (dim + 3) / 4 * 4 + 4;
    CAPTURE(count);
    CAPTURE(dim);
    CAPTURE(n);
    std::vector<float> q(std::size_t{count} * dim);
    for (float& x : q) x = static_cast<float>(d.uniform() * 4 - 2);
    host_memory const packed(packed_floats(count, dim) * sizeof(float)), wide(block_query_floats(count, dim) * sizeof(float)),
        keys(n * stride * sizeof(float));
    auto* const of_product = reinterpret_cast<float*>(packed.data());
    auto* const of_block = reinterpret_cast<float*>(wide.data());
    auto* const k = reinterpret_cast<float*>(keys.data());
    for (std::size_t i = 0; i < packed_floats(count, dim); ++i) of_product[i] = 0;
    for (std::size_t i = 0; i < block_query_floats(count, dim); ++i) of_block[i] = 0;
    for (u32 i = 0; i < count; ++i)
      for (u32 c = 0; c < dim; ++c) of_product[packed_place(i, c, dim)] = of_block[c * count + i] = q[i * dim + c];
    for (std::size_t i = 0; i < n * stride; ++i) k[i] = static_cast<float>(d.uniform() * 4 - 2);
    std::vector<float> want(std::size_t{count} * n);
    products_of(serial_group{}, of_product, count, dim, k, stride, n, want.data(), n);

    for (u32 const threads : {1u, 3u, 8u}) {
      CAPTURE(threads);
      CHECK(products<false>(threads, of_block, count, dim, k, stride, n) == want);
      if (dim % 4 == 0) CHECK(products<true>(threads, of_block, count, dim, k, stride, n) == want);
    }
    for (u32 i = 0; i < count; ++i)
      for (u32 j = 0; j < n; ++j) {
        double sum = 0;
        for (u32 c = 0; c < dim; ++c) sum += static_cast<double>(q[i * dim + c]) * static_cast<double>(k[j * stride + c]);
        REQUIRE(std::fabs(static_cast<double>(want[i * n + j]) - sum) < 1e-5 * (std::fabs(sum) + 1));
      }
  });
}
