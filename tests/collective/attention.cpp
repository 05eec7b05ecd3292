// What a chunk of a row gives, and the row from its chunks, against plain loops in double precision; the same bits for any group.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/collective/chunked_attention.hpp>
#include <kvsift/payload/plain.hpp>
#include <kvsift/payload/quantised.hpp>
#include <support/block_memory.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

std::vector<float> random_floats(support::draws& d, std::size_t count) {
  std::vector<float> x(count);
  for (float& f : x) f = static_cast<float>(d.normal());
  return x;
}

/// Vectors [n, dim] as a payload stores them.
template <class Payload>
struct stored {
  std::vector<std::byte> bytes;
  vectors view;

  stored(std::vector<float> const& x, u32 dim) : bytes(x.size() / dim * Payload::bytes(dim)), view{bytes.data(), Payload::bytes(dim)} {
    for (std::size_t i = 0; i < x.size() / dim; ++i) Payload::store(serial_group{}, view.at(i), &x[i * dim], dim);
  }
};

template <class F>
void run_together(u32 threads, F const& f) {
  support::thread_group_executor{threads}.launch(1, [&](support::thread_group const& g, u32) { f(g); });
}

template <class Payload>
void agrees(support::draws& d) {
  u32 const n = static_cast<u32>(d.between(1, 3) * 256 - d.between(0, 255)), heads = static_cast<u32>(d.between(1, 18));
  auto const dim = static_cast<u32>(d.between(1, d.chance(0.5) ? 40 : 12) * (d.chance(0.5) ? 1 : 8));
  CAPTURE(n);
  CAPTURE(heads);
  CAPTURE(dim);
  std::vector<float> const q = random_floats(d, std::size_t{heads} * dim);
  stored<Payload> const keys(random_floats(d, std::size_t{n} * dim), dim), values(random_floats(d, std::size_t{n} * dim), dim);
  u32 const chunks = chunks_of(n);

  std::vector<float> first_weights, first_out;
  for (u32 const threads : {1u, 3u, 5u, 33u}) {
    std::size_t const apart = chunk_results::floats(heads, dim) + 5;
    std::vector<float> w(std::size_t{heads} * n, NAN), results(chunks * apart, NAN), highest(heads, NAN), inverses(heads, NAN), out(std::size_t{heads} * dim, NAN);
    support::block_memory memory(chunk_memory::carve(nullptr, heads, dim, threads).bytes);
    chunk_memory const m = chunk_memory::carve(memory.data(), heads, dim, threads);
    chunk_results const all{results.data(), apart, heads, dim, chunks};
    row_softmax const softmax{highest.data(), inverses.data()};
    using read = detail::in_planes<Payload>;
    auto const run = [&](auto const& g) {
      with_reading(heads, dim, [&]<class Reading>(Reading) {
        for (u32 c = 0; c < chunks; ++c) {
          u32 const first = c * chunk_slots, slots = n - first < chunk_slots ? n - first : chunk_slots;
          float* const result = results.data() + c * apart;
          vectors const own_keys{keys.view.at(first), keys.view.stride}, own_values{values.view.at(first), values.view.stride};
          logits_of_chunk<Reading, read>(g, q.data(), heads, dim, own_keys, slots, m);
          add_chunk<Reading, read>(g, heads, own_values, slots, dim, m, result + 2 * heads, [&] {
            weigh_chunk(g, m.logits, heads, slots, m.by_lane, result, result + heads);
            g.sync();
          });
          for (u32 i = g.thread_rank(); i < heads * slots; i += g.num_threads())
            w[i / slots * n + first + i % slots] = m.logits[i / slots * chunk_slots + i % slots];
          g.sync();
        }
      });
      find_softmax(g, all, m.by_lane, softmax);
      for (u32 c = chunks; c-- > 0;) merge_values(g, all, softmax, c, out.data());
    };
    if (threads == 1) run(support::with_memory(serial_group{}, memory.data()));
    else if (threads == 5) run_together(threads, run);  // copies are there at once
    else run_together(threads, [&](support::thread_group const& g) { run(support::with_memory(g, memory.data())); });

    if (threads == 1) first_weights = w, first_out = out;
    CHECK(w == first_weights);
    CHECK(out == first_out);
    if (threads != 1) continue;
    for (u32 h = 0; h < heads; ++h) {
      std::vector<double> p(n);
      double total = 0;
      for (u32 i = 0; i < n; ++i) {
        double logit = 0;
        for (u32 k = 0; k < dim; ++k) logit += double{q[h * dim + k]} * double{Payload::load(keys.view.at(i), k)};
        total += p[i] = std::exp(logit);
      }
      double far = 0;
      for (u32 i = 0; i < n; ++i) far = std::max(far, std::fabs(double{w[h * n + i]} * double{softmax.factor(all, i / chunk_slots, h)} - p[i] / total) / (p[i] / total));
      CHECK(far <= 1e-5);
      for (u32 k = 0; k < dim; ++k) {
        double want = 0;
        for (u32 i = 0; i < n; ++i) want += p[i] / total * double{Payload::load(values.view.at(i), k)};
        CHECK(std::fabs(double{out[h * dim + k]} - want) <= 1e-5);
      }
    }
  }
}

}  // namespace

TEST_CASE("chunks of a row put together are its attention, and their weights its probabilities") {
  support::for_each_seed(30, [](std::uint64_t seed) {
    support::draws d(seed);
    if (seed % 4 == 0) agrees<bf16_payload>(d);
    else if (seed % 4 == 1) agrees<fp32_payload>(d);
    else if (seed % 4 == 2) agrees<fp8_payload>(d);
    else agrees<quantised<8>>(d);
  });
}

TEST_CASE("a block's memory for a chunk is what the guide says, and has its limit") {
  CHECK(chunk_memory::carve(nullptr, 4, 128, 128).bytes == 40 * 1024);
  CHECK(chunk_memory::carve(nullptr, 8, 128, 128).bytes == 62 * 1024);
  CHECK(chunk_memory::carve(nullptr, 27, 128, 128).bytes <= most_block_bytes);
  CHECK(chunk_memory::carve(nullptr, 28, 128, 128).bytes > most_block_bytes);
}
