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

template <class Payload>
void agrees(support::draws& d) {
  u32 const n = static_cast<u32>(d.between(1, 3) * 256 - d.between(0, 255)), heads = static_cast<u32>(d.between(1, 9));
  auto const dim = static_cast<u32>(d.between(1, 40));
  CAPTURE(n);
  CAPTURE(heads);
  CAPTURE(dim);
  std::vector<float> const q = random_floats(d, std::size_t{heads} * dim);
  stored<Payload> const keys(random_floats(d, std::size_t{n} * dim), dim), values(random_floats(d, std::size_t{n} * dim), dim);
  u32 const chunks = chunks_of(n);

  std::vector<float> first_weights, first_out;
  for (u32 const threads : {1u, 3u, 33u}) {
    std::size_t const apart = chunk_results::floats(heads, dim) + 5;
    std::vector<float> w(std::size_t{heads} * n, NAN), parts(std::size_t{chunk_parts} * heads * dim, NAN), lanes(std::size_t{2} * heads * chunk_lanes, NAN);
    std::vector<float> results(chunks * apart, NAN), highest(heads, NAN), inverses(heads, NAN), out(std::size_t{heads} * dim, NAN);
    chunk_results const all{results.data(), apart, heads, dim, chunks};
    row_softmax const softmax{highest.data(), inverses.data()};
    auto const run = [&](auto const& g) {
      logits_of_chunk<detail::in_planes<Payload>>(g, q.data(), heads, dim, keys.view, n, w.data(), n);
      g.sync();
      for (u32 c = 0; c < chunks; ++c) {
        u32 const first = c * chunk_slots, slots = n - first < chunk_slots ? n - first : chunk_slots;
        float* const result = results.data() + c * apart;
        weigh_chunk(g, w.data() + first, n, heads, slots, lanes.data(), result, result + heads);
        vectors const own{values.view.at(first), values.view.stride};
        add_chunk<detail::in_planes<Payload>>(g, w.data() + first, n, heads, own, slots, dim, parts.data(), result + 2 * heads);
        g.sync();
      }
      find_softmax(g, all, lanes.data(), softmax);
      for (u32 c = chunks; c-- > 0;) merge_values(g, all, softmax, c, out.data());
    };
    if (threads == 1) run(serial_group{});
    else support::thread_group_executor{threads}.launch(1, [&](auto const& g, u32) { run(g); });

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
