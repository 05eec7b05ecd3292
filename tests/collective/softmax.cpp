// softmax in place: probabilities of double precision, the padding 0, the same bits for any number of threads.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/collective/softmax.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>
#include <support/thread_group.hpp>

TEST_CASE("probabilities are those of double precision, whatever the scale and the length") {
  support::for_each_seed(120, [](std::uint64_t seed) {
    support::draws d(seed);
    std::uint32_t const n = static_cast<std::uint32_t>(d.between(1, 150)), padded = (n + 7) / 8 * 8;
    double const scale = d.one_of(std::vector<double>{0, 1e-3, 1, 10, 60, 500});
    double const shift = d.one_of(std::vector<double>{0, -1e4, 1e4});
    std::vector<float> logits(padded, NAN);
    for (std::uint32_t i = 0; i < n; ++i) logits[i] = static_cast<float>(shift + scale * d.normal());
    double highest = -INFINITY, total = 0;
    for (std::uint32_t i = 0; i < n; ++i) highest = std::fmax(highest, static_cast<double>(logits[i]));
    for (std::uint32_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(logits[i]) - highest);

    std::vector<float> p = logits, partial(8, NAN);
    kvsift::softmax(kvsift::serial_group{}, p.data(), n, partial.data(), nullptr);
    for (std::uint32_t i = 0; i < padded; ++i) {
      CAPTURE(i);
      double const below = i < n ? highest - static_cast<double>(logits[i]) : 0;  // rounded to float before it is raised
      double const want = i < n ? std::exp(-below) / total : 0;
      REQUIRE(std::fabs(static_cast<double>(p[i]) - want) <= (2e-6 + 1.2e-7 * below) * want + 1e-36);
    }
    if (seed > 8) return;
    for (std::uint32_t const threads : {2u, 5u, 33u}) {
      std::vector<float> q = logits, sums(8, NAN);
      std::vector<std::uint32_t> scratch(2 * threads);
      support::thread_group_executor{threads}.launch(
          1, [&](auto const& g, std::uint32_t) { kvsift::softmax(g, q.data(), n, sums.data(), scratch.data()); });
      CHECK(q == p);
    }
  });
}
